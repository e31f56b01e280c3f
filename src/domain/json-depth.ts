// How deep JSON of others may nest: serializers and databases recurse.

/** Levels of nested lists and objects. */
export const JSON_DEPTH_MAX = 32;

/** Whether a parsed value nests deeper than that. */
export const isTooDeep = (value: unknown, levels = JSON_DEPTH_MAX): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((one) => isTooDeep(one, levels - 1)));
