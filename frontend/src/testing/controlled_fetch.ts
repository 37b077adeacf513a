/** `fetch` whose answers the test gives. */
import { vi } from 'vitest';
import { settled } from './settled';

interface Request {
  address: string;
  init: RequestInit;
  signal: AbortSignal | null;
  answer(response: Response): void;
}

/** Takes the place of `fetch` as soon as it is made. */
export class ControlledFetch {
  readonly requests: Request[] = [];

  constructor() {
    vi.stubGlobal(
      'fetch',
      (address: string, init: RequestInit = {}) =>
        new Promise<Response>((resolve, reject) => {
          const { signal = null } = init;
          this.requests.push({ address, init, signal, answer: resolve });
          signal?.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    );
  }

  /** Answer the newest request for an address, and let what waits for it go on. */
  async answer(address: string, response: Response): Promise<void> {
    this.requests.findLast((request) => request.address === address)?.answer(response);
    await settled();
  }

  count(address: string): number {
    return this.requests.filter((request) => request.address === address).length;
  }
}
