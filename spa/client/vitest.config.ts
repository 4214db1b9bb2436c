import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { readsPages } from "./test/docs.ts";

const source = (file: string): string => fileURLToPath(new URL(`src/${file}`, import.meta.url));

export default defineConfig({
  plugins: [readsPages()],
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    testTimeout: 20_000, // it finds what hangs, not what is slow beside others on a busy machine
    hookTimeout: 20_000,
    alias: [
      // The documentation's code imports the package by its name.
      { find: /^@cloakroom\/client$/, replacement: source("index.ts") },
      { find: /^@cloakroom\/client\/react$/, replacement: source("react.tsx") },
      { find: /^@cloakroom\/client\/testing$/, replacement: source("testing.ts") },
    ],
  },
});
