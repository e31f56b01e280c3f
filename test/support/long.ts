// The long form of tests (`npm run test:long`): the whole matrix, more repetitions, other random seeds. `npm test` runs the
// smallest form of each that can fail.

/** Whether this run is the long one. */
export const isLong = process.env.VALETKEY_TEST_LONG === '1';
