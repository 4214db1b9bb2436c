/** The React entry. */
export {};
