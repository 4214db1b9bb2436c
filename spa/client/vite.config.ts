import { defineConfig } from "vitest/config";

/** What a published package is made of: one file for each entry, and what they share in files beside them. */
export default defineConfig({
  build: {
    target: "es2022",
    sourcemap: true,
    lib: { entry: { index: "src/index.ts", react: "src/react.tsx", testing: "src/testing.ts" }, formats: ["es"] },
    rollupOptions: { external: ["react", "react/jsx-runtime"] },
    reportCompressedSize: false,
  },
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
  },
});
