// The bytes of a body in one buffer: it may come in a million pieces, each of which would have more memory than what is in it.

const NOTHING = Buffer.alloc(0);

export class CollectedBytes {
  #buffer: Buffer = NOTHING;
  #length = 0;
  #pieces = 0;

  get length(): number {
    return this.#length;
  }
  /** How many were added. */
  get pieces(): number {
    return this.#pieces;
  }
  /** Not to be added to while it is used. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  add(piece: Buffer): void {
    this.#pieces++;
    const length = this.#length + piece.length;
    // Most bodies are one piece, which is not copied.
    if (this.#length === 0) this.#buffer = piece;
    else {
      if (length > this.#buffer.length) this.#grow(length);
      piece.copy(this.#buffer, this.#length);
    }
    this.#length = length;
  }

  clear(): void {
    this.#buffer = NOTHING;
    this.#length = 0;
  }

  #grow(length: number): void {
    const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}
