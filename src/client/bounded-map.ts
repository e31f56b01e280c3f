// Bounded maps: when one is full, the oldest entry is evicted.

/** Sets `key`, as the newest entry, and evicts the oldest ones beyond `maxEntries`. */
export function putBounded<K, V>(map: Map<K, V>, key: K, value: V, maxEntries: number): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= maxEntries) return;
    map.delete(oldest);
  }
}
