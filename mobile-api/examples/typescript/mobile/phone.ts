import type { Vault } from "../shared/handles.ts";

/** What the app needs of the phone. The README has it for Expo; main.ts has it for a terminal. */
export interface Phone {
  /**
   * Opens an address in the system browser (ASWebAuthenticationSession, Custom Tabs), never in a WebView, where the person could
   * not tell who reads the password (RFC 8252 section 8.12). Resolves with the address of the app that the browser then opens.
   */
  authenticate(address: string, redirectUri: string): Promise<string>;
  /** Opens an address in the system browser, and expects nothing back. */
  browse(address: string): Promise<void>;
  /** Keychain, Keystore. */
  vault: Vault;
  /** Of the system's own source: never Math.random. */
  randomBytes(size: number): Uint8Array;
  sha256(data: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer>;
}
