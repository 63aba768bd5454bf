/**
 * Keeps what is shown up to date: asks again a while after the last answer, less often while the API does not answer, and
 * not at all while nobody looks or the reader has stopped it.
 */

import { failure, isAbort } from "./api.js";

/** @typedef {{ at: number | null, error: import("./api.js").ApiError | null, paused: boolean }} LiveState */

const LONGEST = 120_000;

export class Live {
  /**
   * @param {(state: LiveState) => void} tell
   * @param {(signal: AbortSignal) => Promise<unknown>} beside asked for with whatever is followed
   */
  constructor(tell, beside) {
    this.tell = tell;
    this.beside = beside;
    /** @type {LiveState} */
    this.state = { at: null, error: null, paused: false };
    /** @type {((signal: AbortSignal) => Promise<unknown>) | null} */
    this.load = null;
    this.interval = () => LONGEST;
    this.failures = 0;
    this.timer = 0;
    this.asking = new AbortController();
    document.addEventListener("visibilitychange", () => this.mayAsk() && void this.now());
  }

  /**
   * From now on, this is what is asked for.
   * @param {(signal: AbortSignal) => Promise<unknown>} load throws what the API answers wrong
   * @param {() => number} interval milliseconds until it is asked for again
   */
  follow(load, interval) {
    this.load = load;
    this.interval = interval;
    this.failures = 0;
    return this.now();
  }

  /** Nothing is asked for any more. */
  stop() {
    this.asking.abort();
    clearTimeout(this.timer);
    this.load = null;
  }

  /** Asks at once. What was being asked for is not waited for any more. */
  async now() {
    if (!this.load) return;
    this.asking.abort();
    clearTimeout(this.timer);
    const asking = new AbortController();
    this.asking = asking;
    try {
      const parts = [this.load(asking.signal), this.beside(asking.signal)];
      const failed = (await Promise.allSettled(parts)).find((part) => part.status === "rejected");
      if (failed) throw failed.reason;
      this.failures = 0;
      this.told({ at: Date.now(), error: null });
    } catch (error) {
      if (asking.signal.aborted || isAbort(error)) return;
      this.failures += 1;
      this.told({ error: failure(error) });
    }
    if (!asking.signal.aborted) this.later();
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.told({ paused });
    if (paused) clearTimeout(this.timer);
    else void this.now();
  }

  /** Whether it is asked for again without anybody wanting it. */
  mayAsk() {
    return !this.state.paused && !document.hidden && this.load !== null;
  }

  later() {
    const wait = Math.min(this.interval() * 2 ** this.failures, LONGEST);
    const least = this.state.error?.retryAfter ?? 0;
    this.timer = window.setTimeout(() => this.mayAsk() && void this.now(), Math.max(wait, least));
  }

  /** @param {Partial<LiveState>} news */
  told(news) {
    this.state = { ...this.state, ...news };
    this.tell(this.state);
  }
}
