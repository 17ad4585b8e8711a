fn main() {
    max_auth::run()
}
