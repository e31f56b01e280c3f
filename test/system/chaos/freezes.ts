// Fault scenarios for replicas that freeze: a virtual machine is paused, a lid is closed. While readers read.
import { setTimeout as pause } from 'node:timers/promises';
import { noFaults, type Scenario } from './scenarios.ts';

/**
 * Freezes random replicas (SIGSTOP), one after the other, for one second up to `longestMs`. The provider closes connections, so
 * that requests are often preceded by a TLS handshake, and is slow, so that answers arrive while their replica is frozen.
 */
export const replicasFrozen =
  (count: number, longestMs = 12_000): Scenario =>
  async (context) => {
    const { random } = context;
    const added = context.brokers().length < 2 ? await context.startBroker() : undefined;
    await context.setProviderRules({ life: [3, 6], latency: [0, 150], closes: 0.5 });
    for (let i = 0; i < count; i++) {
      await pause(random.between(50, 1_500));
      await context.freeze(context.broker(), random.between(1_000, longestMs));
    }
    await noFaults(context);
    await added?.end('SIGTERM');
  };
