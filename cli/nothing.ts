// What `cli/bundle.ts` puts in the place of modules that are never used.
export {};
