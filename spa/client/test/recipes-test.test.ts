// @vitest-environment happy-dom
// @vitest-environment-options { "url": "https://app.example.com/orders" }

// The test of the documentation that puts a client of its own in place of the page's: in a file of its own, where nobody else imports
// that.
import { shown } from "./docs.ts";

await import(/* @vite-ignore */ shown("browser", "unread.test.ts"));
