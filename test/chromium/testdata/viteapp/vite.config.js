import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  define: { __EDITION__: JSON.stringify("first") },
  cacheDir: "cache", // node_modules is shared with other tests
});
