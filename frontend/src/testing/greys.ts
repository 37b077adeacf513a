/** Tables as the server sends them. */
export const base64 = (bytes: Iterable<number>): string => btoa(String.fromCharCode(...bytes));

/** Every value of 8 bits as it is. */
export const identity = { first: 0, table: base64(Array.from({ length: 256 }, (_, value) => value)) };
