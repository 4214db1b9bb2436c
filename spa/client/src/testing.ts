/** The fake gateway. */
export {};
