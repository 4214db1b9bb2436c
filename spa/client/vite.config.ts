import { defineConfig } from "vite";

/** What a published package is made of: one file for each entry, and what they share in files beside them. */
export default defineConfig({
  build: {
    target: "es2022",
    sourcemap: true,
    lib: { entry: { index: "src/index.ts", react: "src/react.tsx", testing: "src/testing.ts" }, formats: ["es"] },
    rolldownOptions: {
      external: ["react", "react/jsx-runtime"],
      // Vite leaves the white space of a library in, for whoever bundles it; what is shipped here may also be loaded as it is.
      output: {
        minify: true,
        chunkFileNames: "[name].js",
        // Frameworks that render components on a server take this word for: hooks and context, to be run in the browser as well.
        banner: ({ name }) => (name === "react" ? '"use client";' : ""),
      },
    },
    reportCompressedSize: false,
  },
});
