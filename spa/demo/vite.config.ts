import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (file: string): string => fileURLToPath(new URL(`../client/src/${file}`, import.meta.url));

/** Where the gateway listens while `npm run dev` serves the frontend on http://localhost:5173, its app's origin then. */
const gateway = "http://127.0.0.1:8080";

export default defineConfig({
  build: {
    target: "es2023",
    assetsInlineLimit: 0, // a data: URL in a style sheet would need more than 'self' in the policy
    modulePreload: { polyfill: false }, // every browser of the target has it
    reportCompressedSize: false,
    rolldownOptions: {
      // "use client" is for servers that render React; here it says nothing, and the build need not say so for each file.
      onwarn: (warning, tell) => void (warning.code === "MODULE_LEVEL_DIRECTIVE" || tell(warning)),
    },
  },
  server: {
    host: "127.0.0.1", // "localhost" may mean ::1 alone, where the gateway's static.url would not find it
    port: 5173,
    strictPort: true, // another port would be another origin than the app's
    // Written as objects, for a bare string would have Vite replace the Host, and the gateway knows the app by it.
    proxy: { "/bff": { target: gateway }, "/api": { target: gateway, ws: true } },
  },
  resolve: {
    dedupe: ["react", "react-dom"],
    alias: [
      // The client's source, so that a change there shows here at once and no build of it has to come first.
      { find: /^@cloakroom\/client$/, replacement: source("index.ts") },
      { find: /^@cloakroom\/client\/react$/, replacement: source("react.tsx") },
      { find: /^@cloakroom\/client\/testing$/, replacement: source("testing.ts") },
    ],
  },
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    testTimeout: 20_000, // it finds what hangs, not what is slow beside others on a busy machine
  },
});
