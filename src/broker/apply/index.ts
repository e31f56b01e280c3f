export { type Apply, createApply, type Declared } from './apply.ts';
