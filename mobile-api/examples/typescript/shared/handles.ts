/** The two handles of a session. Both open nothing but the gateway: no token of the provider or of the API is ever in the app. */
export interface Pair {
  /** `clk_…`, for calls, in `Authorization`. */
  access: string;
  /** `clr_…`, for the gateway's token endpoint alone; empty where the access handle is bound to a key and lasts as long as the session. */
  refresh: string;
  /** When the access handle ends, in milliseconds since 1970, by the clock of this device. */
  ends: number;
}

/** This device, as the list of its user's sessions names it. */
export interface Device {
  name: string;
  platform: string;
}

/**
 * Where a pair is kept between two runs. On a phone this is expo-secure-store or react-native-keychain, in Electron a file
 * that went through safeStorage.encryptString: what stands in it is worth a session.
 */
export interface Vault {
  read(): Promise<string | null>;
  write(text: string): Promise<void>;
  remove(): Promise<void>;
}

/** Nobody is signed in, or not any more. */
export class SignedOut extends Error {
  override name = "SignedOut";
}

/** Trades a refresh handle for the next pair. Rejects with {@link SignedOut} when the gateway says `invalid_grant`, and then alone. */
export type Trade = (refresh: string) => Promise<Pair>;

/** An access handle that ends within this time is renewed first: it is to survive the call that it goes with. */
const margin = 10_000;

/**
 * The handles of the person who is signed in.
 *
 * A refresh handle is replaced each time it is used, and one that comes again after its successor was in use ends the session,
 * for it may have been stolen. So the successors are written down before anybody gets to use them, and one renewal runs at a
 * time. An answer that is lost on its way costs nothing: as long as the successors have not been used, the old refresh handle
 * gets the very same ones again.
 */
export class Handles {
  readonly #owner: string;
  readonly #vault: Vault;
  readonly #trade: Trade;
  readonly #pauses: number[];
  #renewal: Promise<Pair> | null = null;

  /**
   * @param owner - names gateway and app: what the vault holds of others is shown to nobody.
   * @param pauses - milliseconds between the tries of a renewal whose answer does not come. A lift takes longer; then the call
   *   fails, the handles are kept, and the next call tries again.
   */
  constructor(owner: string, vault: Vault, trade: Trade, pauses = [300, 2_000]) {
    this.#owner = owner;
    this.#vault = vault;
    this.#trade = trade;
    this.#pauses = pauses;
  }

  /** Handles that can be used now. Rejects with {@link SignedOut} if there are none. */
  async current(): Promise<Pair> {
    const pair = await this.#load();
    return pair.ends - Date.now() > margin ? pair : this.renew(pair);
  }

  /** Replaces handles. Who finds that they have been replaced already gets what replaced them. */
  renew(used: Pair): Promise<Pair> {
    this.#renewal ??= this.#renew(used).finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  /** Keeps what a sign-in gave. */
  keep(pair: Pair): Promise<void> {
    return this.#vault.write(JSON.stringify({ owner: this.#owner, pair }));
  }

  /** Drops them: after a sign-out. */
  forget(): Promise<void> {
    return this.#vault.remove();
  }

  async #load(): Promise<Pair> {
    const text = await this.#vault.read();
    const kept = text === null ? null : (JSON.parse(text) as { owner: string; pair: Pair });
    if (kept?.owner !== this.#owner) {
      throw new SignedOut("Nobody is signed in.");
    }
    return kept.pair;
  }

  async #renew(used: Pair): Promise<Pair> {
    const now = await this.#load();
    if (now.access !== used.access) {
      return now;
    }
    try {
      const next = await this.#again(now.refresh);
      await this.keep(next);
      return next;
    } catch (problem) {
      if (problem instanceof SignedOut) {
        await this.forget(); // the one answer that means it; whatever else went wrong says nothing of the session
      }
      throw problem;
    }
  }

  /** Asks until there is an answer, or it is time to tell the person that there is no network. */
  async #again(refresh: string): Promise<Pair> {
    for (const pause of this.#pauses) {
      try {
        return await this.#trade(refresh);
      } catch (problem) {
        if (problem instanceof SignedOut) {
          throw problem;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    return this.#trade(refresh);
  }
}
