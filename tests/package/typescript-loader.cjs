// For webpack, which reads no TypeScript: types and JSX go, by esbuild.
const { transform } = require('esbuild');

module.exports = function (source) {
  const done = this.async();
  const loader = this.resourcePath.endsWith('x') ? 'tsx' : 'ts';
  transform(source, { loader, jsx: 'automatic' }).then(({ code }) => done(null, code), done);
};
