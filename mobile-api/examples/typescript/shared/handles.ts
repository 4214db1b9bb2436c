/** The two handles of a session. Both open nothing but the gateway: no token of the provider or of the API is ever in the app. */
export interface Pair {
  /** `clk_…`, for calls, in `Authorization`. */
  access: string;
  /** `clr_…`, for the gateway's token endpoint alone. */
  refresh: string;
  /** When the access handle ends, in milliseconds since 1970, by the clock of this device. */
  ends: number;
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

/** Between the tries of a renewal whose answer does not come, in milliseconds. A lift takes longer; then the next call tries again. */
const pauses = [300, 2_000];

/**
 * The handles of the person who is signed in.
 *
 * A refresh handle is replaced each time it is used, and one that comes again after its successor was in use ends the session,
 * for it may have been stolen. So the successors are written down before anybody gets to use them, and one renewal runs at a
 * time. An answer that is lost on its way costs nothing: as long as the successors have not been used, the old refresh handle
 * gets the very same ones again.
 */
export class Handles {
  readonly #vault: Vault;
  readonly #trade: Trade;
  #renewal: Promise<Pair> | null = null;

  constructor(vault: Vault, trade: Trade) {
    this.#vault = vault;
    this.#trade = trade;
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
    return this.#vault.write(JSON.stringify(pair));
  }

  /** Drops them: after a sign-out. */
  forget(): Promise<void> {
    return this.#vault.remove();
  }

  async #load(): Promise<Pair> {
    const text = await this.#vault.read();
    if (text === null) {
      throw new SignedOut("Nobody is signed in.");
    }
    return JSON.parse(text) as Pair;
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
    for (const pause of pauses) {
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
