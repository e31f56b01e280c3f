// The withdrawals room: what took access away is done once more where a standby lacks it.
export { createWithdrawals, type Withdrawals } from './withdrawals.ts';
