export default { build: { reportCompressedSize: false }, logLevel: "warn" };
