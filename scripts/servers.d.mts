/** Which servers are there, and why others are not. */
export const status: () => ReadonlyArray<{ readonly name: string; readonly reason: string | undefined }>
export declare const npmFolder: string
