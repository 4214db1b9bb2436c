// Whoever copies from the documentation copies code that compiles.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { foldersOf, pages, write } from "./docs.ts";

const folders = [...pages()].flatMap(([page, text]) => foldersOf(page, text));
const written = write(folders);
afterAll(written.remove);

/** What the compiler has to say of all folders; "" when that is nothing. */
function compile(root: string): string {
  try {
    return execFileSync(fileURLToPath(new URL("../../node_modules/.bin/tsc", import.meta.url)), ["-p", root, "--pretty", "false"], { encoding: "utf8" });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

test("every block of the documentation compiles", () => {
  expect(folders.map((folder) => folder.page)).toEqual(expect.arrayContaining(["README", "browser"]));
  expect(compile(written.root)).toBe("");
}, 60_000);

describe("blocks", () => {
  const markdown = [
    "```ts", "// file: a.ts", "export const a = 1;", "```", "text", "```tsx", "export const b = <p />;", "```",
    "```js", "no + block", "```", "```ts", "// file: a.ts", "export const a = 2;", "```", "",
  ].join("\n");

  test("of one name make a folder each, with what came before", () => {
    const [first, second, ...more] = foldersOf("page", markdown);
    expect(first?.files).toEqual(new Map([["a.ts", "// file: a.ts\nexport const a = 1;\n"], ["block-2.tsx", "export const b = <p />;\n"]]));
    expect(second?.files.get("a.ts")).toBe("// file: a.ts\nexport const a = 2;\n");
    expect(second?.files.has("block-2.tsx")).toBe(true);
    expect(more).toEqual([]);
  });

  test("that do not compile are told", () => {
    const wrong = write(foldersOf("page", '```ts\nimport { createClient } from "@cloakroom/client";\nexport const n: number = createClient();\n```\n'));
    try {
      expect(compile(wrong.root)).toMatch(/block-1\.ts\(2,14\): error TS2322/);
    } finally {
      wrong.remove();
    }
  }, 60_000);
});
