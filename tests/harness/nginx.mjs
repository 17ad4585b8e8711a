// What stands around a site in an nginx of our own: no daemon, no root, nothing outside its folder.

export const BROTLI_MODULE = '/usr/lib/nginx/modules/ngx_http_brotli_filter_module.so';

/** Where Debian keeps it and its modules' friends. */
export const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/** A whole nginx.conf. `http` is what stands in the block of that name; `modules` are files. */
export const nginxConfig = ({ folder, http, modules = [], access = 'off', errors = 'error' }) => `
${modules.map((module) => `load_module ${module};`).join('\n')}
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr ${errors};
worker_rlimit_nofile 4096;
events { worker_connections 1024; }
http {
    access_log ${access};
    default_type application/octet-stream;
    ${TEMPORARY.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n    ')}
    ${http}
}
`;

/** How it is started with that file. */
export const nginxArgs = ({ folder, file }) => ['-e', 'stderr', '-p', folder, '-c', file];
