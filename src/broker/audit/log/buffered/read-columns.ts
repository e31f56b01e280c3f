// Reads that wait to be written, each member in a list of its own. They wait for up to a second, and thousands of objects that live
// for so long would be copied by each collection of young objects meanwhile, which holds up the reads that come: what is made for
// a read is kept as bytes, and the rest are references to what is in memory anyway.
import type { NotedRead, ReadsInCommon, ReadsOfCaller } from '../../../../domain/audit-reads.ts';

/** What a read has of its request. */
export interface ReadRequest {
  requestId: string | null;
  client?: { requestId: string | null; traceId: string | null } | undefined;
}

/** Of a UUID, as text. */
const ID_LENGTH = 36;
const FIRST_CAPACITY = 16;

export class ReadColumns {
  readonly common: ReadsInCommon[] = [];
  readonly owner: string[] = [];
  readonly #connectionId: string[] = [];
  /** Of requests that have more to tell than an id of the usual length. */
  readonly #requests = new Map<number, ReadRequest>();
  #at = new Float64Array(FIRST_CAPACITY);
  #count = new Float64Array(FIRST_CAPACITY);
  #ids = Buffer.alloc(FIRST_CAPACITY * ID_LENGTH);

  get size(): number {
    return this.common.length;
  }

  /** Of each read, and then zeros. */
  get at(): ArrayLike<number> {
    return this.#at;
  }

  /** Returns its place. */
  add(common: ReadsInCommon, connectionId: string, owner: string, request: ReadRequest, at: number): number {
    const place = this.size;
    if (place === this.#at.length) this.#grow();
    this.common.push(common);
    this.owner.push(owner);
    this.#connectionId.push(connectionId);
    this.#at[place] = at;
    this.#count[place] = 1;
    const { requestId, client } = request;
    if (requestId?.length === ID_LENGTH && !client) this.#ids.write(requestId, place * ID_LENGTH, 'latin1');
    else this.#requests.set(place, { requestId, client });
    return place;
  }

  /** The connection was read again. */
  repeat(place: number): void {
    this.#count[place]!++;
  }

  /** The reads of these places, which have the same in common. */
  readsAt(places: readonly number[]): ReadsOfCaller {
    return { common: this.common[places[0]!]!, reads: places.map((place) => this.#read(place)) };
  }

  #read(place: number): NotedRead {
    const { requestId, client } = this.#requests.get(place) ?? { requestId: this.#idAt(place * ID_LENGTH) };
    return {
      at: this.#at[place]!,
      owner: this.owner[place]!,
      connectionId: this.#connectionId[place]!,
      requestId,
      clientRequestId: client?.requestId ?? null,
      traceId: client?.traceId ?? null,
      count: this.#count[place]!,
    };
  }

  #idAt(start: number): string {
    return this.#ids.toString('latin1', start, start + ID_LENGTH);
  }

  #grow(): void {
    const capacity = 2 * this.#at.length;
    const [at, count, ids] = [
      new Float64Array(capacity),
      new Float64Array(capacity),
      Buffer.alloc(capacity * ID_LENGTH),
    ];
    at.set(this.#at);
    count.set(this.#count);
    ids.set(this.#ids);
    [this.#at, this.#count, this.#ids] = [at, count, ids];
  }
}
