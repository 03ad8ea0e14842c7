// GOARCH name to instruction-set description.

export * from './dsl/effects.ts';
export * from './dsl/isa.ts';
export * from './dsl/registers.ts';
export * from './dsl/variant.ts';
export * from './dsl/vector.ts';
