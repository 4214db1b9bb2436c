import { compiles } from "./wasm.js";

const reaches = async (url) => {
  try {
    await fetch(url, { mode: "no-cors" });
    return true;
  } catch {
    return false;
  }
};

self.onmessage = async ({ data }) => {
  self.postMessage({ wasm: await compiles(), home: await reaches("/app.webmanifest"), elsewhere: await reaches(data) });
};
