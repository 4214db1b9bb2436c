// Tells what importing from the package costs, as one JSON object of gzipped bytes: what a bundler makes of each entry, minified.
import { gzipSync } from "node:zlib";
import { build } from "vite";

const entries = {
  client: `import { createClient } from "@cloakroom/client"; globalThis.made = createClient;`,
  react: `import * as all from "@cloakroom/client/react"; globalThis.made = all;`,
  testing: `import { createFakeGateway } from "@cloakroom/client/testing"; globalThis.made = createFakeGateway;`,
  error: `import { CloakroomError } from "@cloakroom/client"; globalThis.made = CloakroomError;`,
  types: `import type { State } from "@cloakroom/client"; globalThis.made = (state: State) => state.status;`,
  nothing: `import "@cloakroom/client"; import "@cloakroom/client/react"; import "@cloakroom/client/testing";`,
};
const sizes = {};
for (const [name, text] of Object.entries(entries)) {
  const { output } = await build({
    root: import.meta.dirname, configFile: false, logLevel: "error", mode: "production",
    build: { write: false, modulePreload: false, reportCompressedSize: false, rolldownOptions: { input: "entry.ts", external: /^react(-dom)?(\/|$)/ } },
    plugins: [{ name: "entry", resolveId: (id) => (id === "entry.ts" ? `${import.meta.dirname}/entry.ts` : null), load: (id) => (id.endsWith("/entry.ts") ? text : null) }],
  });
  sizes[name] = gzipSync(output.map((chunk) => chunk.code).join("\n"), { level: 9 }).length;
}
console.log(JSON.stringify(sizes));
