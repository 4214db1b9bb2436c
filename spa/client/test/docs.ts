/**
 * The code of the documentation as files: what is shown to be copied is compiled, and run where it has an outcome.
 *
 * A block of TypeScript is a whole module. One that begins with `// file: NAME` is that file, which others of the page may import;
 * a name that comes again is the file from there on. A page begins in an empty folder.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

/** One version of a page's files. */
export interface Folder {
  /** The page's name, without its ending. */
  page: string;
  files: Map<string, string>;
}

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The pages with code on the client, by their names: the package's own, and those of the documentation that import it. */
export function pages(): Map<string, string> {
  const folder = at("../../../docs/clients/");
  const names = readdirSync(folder).filter((name) => name.endsWith(".md"));
  const files = new Map([["README", at("../README.md")]]);
  names.forEach((name) => files.set(name.slice(0, -3), join(folder, name)));
  const texts = [...files].map(([name, file]): [string, string] => [name, readFileSync(file, "utf8")]);
  return new Map(texts.filter(([, text]) => text.includes('"@cloakroom/client')));
}

const fence = /^```(tsx?)\n(.*?)^```$/gms;

/** What a reader of a page has in front of them: more than one folder where files change on the way. */
export function foldersOf(page: string, markdown: string): Folder[] {
  const folders: Folder[] = [{ page, files: new Map() }];
  let last = new Map<string, string>();
  let blocks = 0;
  for (const [, kind = "", code = ""] of markdown.matchAll(fence)) {
    blocks++;
    const name = /^\/\/ file: (\S+)\n/.exec(code)?.[1] ?? `block-${blocks}.${kind}`;
    if (last.has(name)) {
      folders.push({ page, files: new Map(last) });
    }
    last = folders.at(-1)?.files ?? last;
    last.set(name, code);
  }
  return blocks === 0 ? [] : folders;
}

/**
 * The compiler's settings of an app as `npm create vite` makes it, with the package's source in place of what is published. What
 * a block makes and leaves for its reader to use is no fault.
 */
const settings = {
  compilerOptions: {
    target: "es2023", lib: ["ES2023", "DOM", "DOM.Iterable"], module: "esnext", moduleResolution: "bundler", moduleDetection: "force",
    types: ["vite/client"], skipLibCheck: true, allowImportingTsExtensions: true, verbatimModuleSyntax: true, noEmit: true,
    jsx: "react-jsx", strict: true, erasableSyntaxOnly: true, noFallthroughCasesInSwitch: true,
    paths: {
      "@cloakroom/client": [at("../src/index.ts")],
      "@cloakroom/client/react": [at("../src/react.tsx")],
      "@cloakroom/client/testing": [at("../src/testing.ts")],
    },
  },
};

/** Folders on disk, each with all that a compiler needs. Call remove when done. */
export function write(folders: readonly Folder[]): { root: string; at: (folder: Folder) => string; remove: () => void } {
  const root = mkdtempSync(join(tmpdir(), "cloakroom-docs-"));
  symlinkSync(at("../../node_modules"), join(root, "node_modules"));
  writeFileSync(join(root, "tsconfig.json"), JSON.stringify({ ...settings, include: ["*/**/*.ts", "*/**/*.tsx"] }));
  const place = (folder: Folder): string => join(root, `${folder.page}-${folders.indexOf(folder)}`);
  for (const folder of folders) {
    mkdirSync(place(folder));
    for (const [name, code] of folder.files) {
      mkdirSync(join(place(folder), name, ".."), { recursive: true });
      writeFileSync(join(place(folder), name), code);
    }
  }
  return { root, at: place, remove: () => rmSync(root, { recursive: true }) };
}

/** Where the pages' files seem to be for whoever imports them: beside the tests, so that packages are found from there. */
const seeming = at("./shown/");

/** The address by which a page's file, in its last version, can be imported in a test. */
export function shown(page: string, name: string): string {
  return `${seeming}${page}/${name}`;
}

/** Has Vitest read the pages' files without any being on disk. */
export function readsPages(): Plugin {
  const files = new Map<string, string>();
  for (const [page, text] of pages()) {
    for (const [name, code] of foldersOf(page, text).at(-1)?.files ?? []) {
      files.set(shown(page, name), code);
    }
  }
  return {
    name: "pages",
    enforce: "pre",
    resolveId(source, importer) {
      const asked = source.startsWith(".") && importer?.startsWith(seeming) ? resolve(importer, "..", source) : source;
      return [asked, `${asked}.ts`, `${asked}.tsx`].find((id) => files.has(id)) ?? null;
    },
    load: (id) => files.get(id) ?? null,
  };
}
