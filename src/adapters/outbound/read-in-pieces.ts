// How much of a response undici's parser is given at once. It goes on to the end of what it was given after the headers of a
// response were found to be too large, and makes an error, with its stack, of each field: a tenth of a second for 64 kB.
import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';

/** Bytes: a record of TLS. */
const PIECE = 16 * 1_024;

/** The same connections, whose sockets are read in pieces, and no more once their headers were too large. */
export const readInPieces =
  (connect: buildConnector.connector): buildConnector.connector =>
  (target, callback) =>
    connect(target, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      limitReads(socket);
      callback(null, socket);
    });

function limitReads(socket: Socket): void {
  const read = socket.read.bind(socket);
  socket.read = (size) => {
    const { destroyed, errored, readableLength } = socket;
    if (isOverflow(errored)) return null;
    // What is left of a connection that has ended is read once, and as a whole.
    return read(size === undefined && !destroyed && readableLength > PIECE ? PIECE : size);
  };
}

const isOverflow = (error: Error | null): boolean =>
  (error as NodeJS.ErrnoException | null)?.code === 'UND_ERR_HEADERS_OVERFLOW';
