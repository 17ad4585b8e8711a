// @ts-check
/** Where the endpoints live, unless `base` says so: beside the file that the server sent. The package has its own here.js (web/npm). */
export const HERE = import.meta.url;
