// Writes source.sha256: the digests of everything that dist is made of, and of dist itself. A test compares them without Node, so
// that nobody commits the one without the other. The form is that of sha256sum, which can check it too.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/** Files, and folders with all that is in them. The test in demo_test.go has the same list. */
const made = ["../client/src", "../package-lock.json", "dist", "index.html", "package.json", "public", "src", "tsconfig.json", "vite.config.ts"];

function filesIn(path) {
  if (/\.[a-z]+$/.test(path)) {
    return [path];
  }
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.replaceAll("\\", "/"));
}

const lines = made
  .flatMap(filesIn)
  .sort((a, b) => (a < b ? -1 : 1))
  .map((name) => `${createHash("sha256").update(readFileSync(name)).digest("hex")}  ${name}\n`);
writeFileSync("source.sha256", lines.join(""));
