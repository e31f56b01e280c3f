// Lengths of time, in milliseconds, for what people are shown.

export const MINUTE = 60_000;
export const HOUR = 3_600_000;
