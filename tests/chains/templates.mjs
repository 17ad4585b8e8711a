// The least that each product needs to run here, with holes for what a chain adds. What is in a hole is what an
// administrator wrote; the rest is ports, certificates, folders. Each template is a function of
// {listen, next, tls} to the text of one file. "#fix…" marks where the doctor's lines go (fix.mjs).

import { BROTLI_MODULE, nginxConfig } from '../harness/nginx.mjs';

// Some products will not run as root, others not as anybody else without being told.
const ROOT = process.getuid?.() === 0;

/** `location`, `server`, `http`: lines for these blocks; `pass: false` leaves out the proxy_pass to the next tier. */
export const nginx =
  ({
    http = '',
    server = '',
    location = '',
    tls = false,
    brotli = false,
    current = false,
    pass = true,
    path = '/',
    modules = [],
  } = {}) =>
  ({ listen, next, certificate }) =>
    nginxConfig({
      folder: '%FOLDER%',
      modules: [
        ...(brotli ? [BROTLI_MODULE] : []),
        ...modules.map((each) => `/usr/lib/nginx/modules/${each}_module.so`),
      ],
      http: `${http}
    #fix-http
    server {
        listen 127.0.0.1:${listen}${tls ? (current ? ' ssl;\n        http2 on' : ' ssl http2') : ''};
        server_name localhost;
        ${tls ? `ssl_certificate ${certificate.certificate};\n        ssl_certificate_key ${certificate.key};` : ''}
        ${server}
        location ${path} {
            ${pass ? `proxy_pass http://127.0.0.1:${next};` : ''}
            ${location}
            #fix
        }
    }`,
    });

/** What the README says to put into nginx. */
export const NGINX_MAP = "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }";
export const NGINX_RIGHT = `
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_buffering off;
            proxy_read_timeout 1h;`;

export const haproxy =
  ({ defaults = '', frontend = '', backend = '', tls = false, timeouts = 50 } = {}) =>
  ({ listen, next, certificate }) => `
global
    maxconn 256
defaults
    mode http
    timeout connect 5s
    timeout client ${timeouts}s
    timeout server ${timeouts}s
    ${defaults}
    #fix
frontend web
    bind 127.0.0.1:${listen}${tls ? ` ssl crt ${certificate.both} alpn h2,http/1.1` : ''}
    ${frontend}
    default_backend site
backend site
    ${backend}
    server one 127.0.0.1:${next}
`;

const APACHE_MODULES = [
  'mpm_event',
  'authz_core',
  'headers',
  'filter',
  'deflate',
  'brotli',
  'proxy',
  'proxy_http',
  'proxy_wstunnel',
  'rewrite',
  'ssl',
  'http2',
  'setenvif',
];

export const apache =
  ({ pass = '', lines = '', tls = false } = {}) =>
  ({ listen, next, certificate }) => `
ServerRoot %FOLDER%
DefaultRuntimeDir %FOLDER%
PidFile %FOLDER%/apache.pid
ServerName localhost
${APACHE_MODULES.map((each) => `LoadModule ${each}_module /usr/lib/apache2/modules/mod_${each}.so`).join('\n')}
${ROOT ? 'User www-data\nGroup www-data' : ''}
Listen 127.0.0.1:${listen}
ErrorLog %FOLDER%/error.log
LogLevel warn
<VirtualHost 127.0.0.1:${listen}>
    ${tls ? `SSLEngine on\n    SSLCertificateFile ${certificate.certificate}\n    SSLCertificateKeyFile ${certificate.key}\n    Protocols h2 http/1.1` : ''}
    ${lines}
    #fix
    ProxyPass "/" "http://127.0.0.1:${next}/" ${pass}
</VirtualHost>
`;

export const caddy =
  ({ site = '', proxy = '', tls = false } = {}) =>
  ({ listen, next, certificate }) => `
{
	admin off
	auto_https off
	log {
		level ERROR
	}
}
${tls ? '' : 'http://'}:${listen} {
	bind 127.0.0.1
	${tls ? `tls ${certificate.certificate} ${certificate.key}` : ''}
	${site}
	#fix
	reverse_proxy 127.0.0.1:${next} {
		${proxy}
	}
}
`;

/** `middlewares`: a name to its YAML in one line. */
export const traefik =
  ({ middlewares = {}, tls = false } = {}) =>
  ({ next, certificate }) => `
http:
  routers:
    site:
      rule: "PathPrefix(\`/\`)"
      entryPoints: [web]
      service: site
      ${Object.keys(middlewares).length > 0 ? `middlewares: [${Object.keys(middlewares).join(', ')}]` : ''}
      ${tls ? 'tls: {}' : ''}
      #fix
  ${
    Object.keys(middlewares).length > 0
      ? `middlewares:\n${Object.entries(middlewares)
          .map(([name, yaml]) => `    ${name}: ${yaml}`)
          .join('\n')}`
      : ''
  }
  services:
    site:
      loadBalancer:
        servers: [{ url: "http://127.0.0.1:${next}" }]
${
  tls
    ? `tls:
  stores: { default: { defaultCertificate: { certFile: "${certificate.certificate}", keyFile: "${certificate.key}" } } }`
    : ''
}
`;

/** `hcm`, `route`: YAML lines for the connection manager and the route. */
export const envoy =
  ({ hcm = [], route = [], filters = [], tls = false } = {}) =>
  ({ listen, next, certificate }) => `
static_resources:
  listeners:
  - name: web
    address: { socket_address: { address: 127.0.0.1, port_value: ${listen} } }
    filter_chains:
    - ${
      tls
        ? `transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - certificate_chain: { filename: "${certificate.certificate}" }
              private_key: { filename: "${certificate.key}" }
      `
        : ''
    }filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
${hcm.map((line) => `          ${line}`).join('\n')}
          #fix-hcm
          route_config:
            virtual_hosts:
            - name: site
              domains: ["*"]
              routes:
              - match: { prefix: "/" }
                route:
                  cluster: site
${route.map((line) => `                  ${line}`).join('\n')}
                  #fix-route
          http_filters:
${filters.map((line) => `          ${line}`).join('\n')}
          - name: router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: site
    type: STATIC
    load_assignment:
      cluster_name: site
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${next} } } } }] }]
`;

export const ENVOY_COMPRESSOR = [
  '- name: compressor',
  '  typed_config:',
  '    "@type": type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor',
  '    response_direction_config: { common_config: { min_content_length: 1, content_type: [text/event-stream, application/json] } }',
  '    compressor_library:',
  '      name: gzip',
  '      typed_config: { "@type": type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip }',
];

export const varnish =
  ({ recv = '', pipe = '', response = '' } = {}) =>
  ({ next }) => `
vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "${next}"; }
sub vcl_recv {
    ${recv}
    #fix-recv
}
sub vcl_pipe {
    ${pipe}
    #fix-pipe
}
sub vcl_backend_response {
    ${response}
    #fix-response
}
`;

export const lighttpd =
  ({ modules = [], lines = '', upgrade = '' } = {}) =>
  ({ listen, next }) => `
server.document-root = "%FOLDER%"
server.bind = "127.0.0.1"
server.port = ${listen}
server.modules = ( ${['mod_proxy', ...modules].map((each) => `"${each}"`).join(', ')} )
server.errorlog = "%FOLDER%/error.log"
proxy.server = ( "" => ( ( "host" => "127.0.0.1", "port" => ${next} ) ) )
${upgrade}
${lines}
#fix
`;

export const squid =
  ({ lines = '' } = {}) =>
  ({ listen, next }) => `
http_port 127.0.0.1:${listen} accel no-vhost defaultsite=localhost
cache_peer 127.0.0.1 parent ${next} 0 no-query originserver name=site
http_access allow all
cache deny all
access_log none
cache_log %FOLDER%/cache.log
pid_filename %FOLDER%/squid.pid
coredump_dir %FOLDER%
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname localhost
${lines}
#fix
`;

export const nghttpx =
  ({ tls = false, lines = '' } = {}) =>
  ({ listen, next, certificate }) => `
frontend=127.0.0.1,${listen}${tls ? '' : ';no-tls'}
backend=127.0.0.1,${next}
${tls ? `private-key-file=${certificate.key}\ncertificate-file=${certificate.certificate}` : ''}
${lines}
#fix
`;

export const h2o =
  ({ path = '', lines = '', tls = false } = {}) =>
  ({ listen, next, certificate }) => `
listen:
  host: 127.0.0.1
  port: ${listen}
${tls ? `  ssl: { certificate-file: ${certificate.certificate}, key-file: ${certificate.key} }` : ''}
${ROOT ? 'user: root' : ''}
num-threads: 1
error-log: %FOLDER%/error.log
${lines}
hosts:
  default:
    paths:
      "/":
        proxy.reverse.url: "http://127.0.0.1:${next}"
        proxy.preserve-host: ON
        ${path}
        #fix
`;

export const hitch =
  () =>
  ({ listen, next, certificate }) => `
frontend = "[127.0.0.1]:${listen}"
backend = "[127.0.0.1]:${next}"
pem-file = "${certificate.both}"
daemon = off
workers = 1
alpn-protos = "http/1.1"
quiet = on
${ROOT ? 'user = "nobody"' : ''}
`;

export const trafficserver =
  ({ records = [], remap = '' } = {}) =>
  ({ next }) => `
${records.map((each) => `#records ${each}`).join('\n')}
map / http://127.0.0.1:${next}/ ${remap}
#fix
`;

/** A WSGI application that passes on what is asked, piece by piece. */
export const GUNICORN_APP = `
import http.client

HOP = {'connection', 'transfer-encoding', 'keep-alive', 'upgrade'}

def app(environ, start_response):
    headers = {name[5:].replace('_', '-').title(): value for name, value in environ.items() if name.startswith('HTTP_')}
    headers = {name: value for name, value in headers.items() if name.lower() not in HOP}
    if environ.get('CONTENT_TYPE'):
        headers['Content-Type'] = environ['CONTENT_TYPE']
    headers['X-Forwarded-For'] = environ['REMOTE_ADDR']
    ask = http.client.HTTPConnection('127.0.0.1', NEXT)
    body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    ask.request(environ['REQUEST_METHOD'], environ['RAW_URI'], body or None, headers)
    answer = ask.getresponse()
    start_response(f'{answer.status} {answer.reason}', [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP])
    try:
        while chunk := answer.read1(65536):
            yield chunk
    finally:
        ask.close()
`;

export const TWISTED_APP = `
from twisted.internet import reactor
from twisted.web import proxy, server
reactor.listenTCP(LISTEN, server.Site(proxy.ReverseProxyResource('127.0.0.1', NEXT, b'')), interface='127.0.0.1')
reactor.run()
`;
