// A local provider with a page where people choose an account (`prompt=select_account`).
import { interactionPolicy } from 'oidc-provider';
import { type LocalProvider, startProvider } from '../../demo/provider.ts';

export function startChoosingProvider(): Promise<LocalProvider> {
  const policy = interactionPolicy.base();
  policy.add(new interactionPolicy.Prompt({ name: 'select_account', requestable: true }), 0);
  return startProvider({ configuration: { interactions: { policy, url: (_, { uid }) => `/interaction/${uid}` } } });
}
