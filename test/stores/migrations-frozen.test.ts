// Landed migrations never change: databases that have them are compared by hash, and would be refused.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

interface Landed {
  /** The name in the journal of a database. */
  when: number;
  sha256: string;
}

/** Add a line for each new migration, and never change one. */
const LANDED: Record<'sqlite' | 'postgres', Record<string, Landed>> = {
  sqlite: {
    '0000_first': {
      when: 1795391906408,
      sha256: '7976863104eeee8e66d6a872f059640b0cb257b5766c046fa907fbabe280bebd',
    },
    '0001_rate_buckets': {
      when: 1795862878805,
      sha256: '5de7c08d70e08f3e0c4df0f8ffaa330e645e1b7a9964881a533b9fa60ad88156',
    },
    '0002_accounts': {
      when: 1795872283637,
      sha256: '21e870e9375c74ac117704ac91b44e48cfe257df845ed07d0ed4083b838a25d1',
    },
    '0003_revocations': {
      when: 1795873822043,
      sha256: '25578d0a69264d606384b20f8c3bdfa86481bee072e1ae8eb1435ba95e7a82f6',
    },
    '0004_unreadable_responses': {
      when: 1795874668638,
      sha256: 'ce7c806aa80ed3cef486711a8cede88da721798ca1e93d851e5341e412a8305f',
    },
    '0005_dead_grants': {
      when: 1795875370961,
      sha256: 'b3a33f2f2f46eb26173a6895781c371e60228016fe3d4c48cd35d113ec60a3ac',
    },
    '0006_scopes_named': {
      when: 1795875626243,
      sha256: '3f7855cfd38115554e3cba67ffed5fe5027d7784dde5d9c7ad5939955737db7b',
    },
    '0007_shared_grants': {
      when: 1795875929400,
      sha256: '667cd8acb38af29a004070f559715d8f1dd29b4184fb81ff277bb16efccc0d86',
    },
    '0008_bounded_lists': {
      when: 1795876957012,
      sha256: 'e3e0d2c2808d074519c064dfe26d2f782ef0d559c86d6612934430973a8b263f',
    },
    '0009_replace_scopes': {
      when: 1795877492104,
      sha256: 'a4cd0493a22e82eddac754fd873c385fb63afcfdf2f6712d873182ed13ca916e',
    },
    '0010_two_phase_connect': {
      when: 1795888249642,
      sha256: '3bce1d6ce1843cf1d202335a5909c9f216447307e2be1e36b2eb0249e4dc8b2a',
    },
    '0011_row_authentication': {
      when: 1795890437652,
      sha256: '682e2dacd5ae5bb84ce9fed12ee7be7a7c6d404a2fe0983c5d9ffd68db8b4723',
    },
    '0012_audit_seals': {
      when: 1795892951504,
      sha256: 'd3faa7c301e0568a1bc4bb8cfc382a50119a697b43ded56850131783c9d7767a',
    },
    '0013_browser_flow': {
      when: 1795893747622,
      sha256: 'd38d00909bf57b494e80684b6fc7b45e8964c929695b9705724c9041799e61f3',
    },
    '0014_events': {
      when: 1795900258288,
      sha256: '6730160e5e34ebac03bf52a4f3f3c13be569ff29d39214f92037e8a98246e6db',
    },
    '0015_limits': {
      when: 1795913778264,
      sha256: 'a439de7a8f158b234af06bde9bddf48859e4fff5c8bb3043c91da8f2169f711d',
    },
    '0016_captured_lists': {
      when: 1795914706483,
      sha256: 'fd7ed81e534e3edfdbfa0bc3734834cc7a08db855068248fa3f1ded4f312a014',
    },
    '0017_checks': {
      when: 1795915983127,
      sha256: 'f58b526778df59f03f2e80237c36f220f53c2c0b69f317caac826c57471e2f9b',
    },
    '0018_captures': {
      when: 1795917059834,
      sha256: 'bf62dc6beacd41030f02bc92394e40547111813887faee3e06cdfbe7a1123405',
    },
    '0019_console': {
      when: 1795922924883,
      sha256: '08e9cc876d8021f0285cf190c47c8b0344d61b7b57bc9fa6d7768ef5ecea78db',
    },
    '0020_counters': {
      when: 1795924844647,
      sha256: '21e9b407a9ae972e857b0b57ce55a2d27c69faf920604dc0b8c4000c0492bbc5',
    },
    '0021_connect_pages': {
      when: 1795925584739,
      sha256: 'fc396df77e19139aacee1c16ad7ffb99c6eb687de62bce0f8824571da193b2c1',
    },
    '0022_jobs': {
      when: 1795927280872,
      sha256: 'a114d4ee93d6538b0cfa3c2b07285feb06b39e1f012e1fb2079fc7d165a7290e',
    },
    '0023_console_search': {
      when: 1795928027199,
      sha256: 'b2d3523351a1b04460bd683d88176f1ccfaae9cbb03ba96585ffc0e44ec0e638',
    },
    '0024_mcp': {
      when: 1795935221035,
      sha256: 'b5547dea34de54a1a75dd37482953eb35ac32c679facc20f007987a7ff388e1c',
    },
    '0025_signing_keys': {
      when: 1795936272988,
      sha256: '7a01d27ed157ca36677ec1d801600f5b4d05b57359ad29be60cab625049720a3',
    },
    '0026_agent_sessions': {
      when: 1795936763803,
      sha256: 'c44314c039dc1b5fc29a30fc654d98ebbb92352be412b088d5840dcd3e69c739',
    },
    '0027_signed_sessions': {
      when: 1795937531495,
      sha256: 'ae02bd6354fa71037c11f016dbb34bdd77cdc5b443a9b15f8e72a1e6ee2ad3f6',
    },
    '0028_due_times': {
      when: 1795956843283,
      sha256: 'b1e0a6abe10c6bde3821f0f847065208060309f19e59b6ee173a87920213b26e',
    },
    '0029_audit_reads': {
      when: 1795959648921,
      sha256: 'bac76b178cf6444104beb2acea96651ec11d4f7a13e96ad06df69e2fb6117ab2',
    },
    '0030_open_webhooks': {
      when: 1796089609884,
      sha256: 'f0b5c918f244eb491a86bd334c379972c0382623aec22f1a4ead650add0ed49e',
    },
  },
  postgres: {
    // Corrected in place once: see EARLIER_ENTRIES in src/stores/shared/migration-journal.ts.
    '0000_first': { when: 1795391907800, sha256: 'b362423ac8d17f046c4f869488e9e4d2607310f2fd86c26a7f116ade0418d6f9' },
    '0001_rate_buckets': {
      when: 1795862879781,
      sha256: 'e7fd8b176b3c8aa2d8e655835d1b3c456a9be66794e21172a110354aabf81ef0',
    },
    '0002_accounts': {
      when: 1795872284963,
      sha256: 'd1b7c40d96af8f417d9eb64a8f1cd15a6073c329269e5a6f66fb0d4eadd1a07c',
    },
    '0003_revocations': {
      when: 1795873825487,
      sha256: '4ea7df6ed40a9dfee8f6758a5f22f8f6f4c9d306bdd7790bd8058699898a7ff3',
    },
    '0004_unreadable_responses': {
      when: 1795874673955,
      sha256: 'ee9ba14c5b4cf8a0a1f1ee1231a19791d3d4e5e713953059e1b4ec786d7875eb',
    },
    '0005_dead_grants': {
      when: 1795875384941,
      sha256: '20c508784ca7bcc664931c35c381143eca8bc23a5a30c39c8557121343e765f1',
    },
    '0006_scopes_named': {
      when: 1795875637459,
      sha256: '831341fbdd7398f96ec550eb61040be3fe437928363bd48cefbfb20263939c2e',
    },
    '0007_shared_grants': {
      when: 1795875937336,
      sha256: '1c2e7ed36b5d9ca93077905da02db78dd4b426d64f17cd4d0be268412ac55a80',
    },
    '0008_bounded_lists': {
      when: 1795876965229,
      sha256: '4e6999ed4bef08e49c89b8ba0494a0ede983ffdcb9cd6de236bf95a5a537d836',
    },
    '0009_replace_scopes': {
      when: 1795877496340,
      sha256: '19dd0f02b30f0b9d42a758b9b5a1724babaa8b3cee9d00c4abb33541acd7eb33',
    },
    '0010_two_phase_connect': {
      when: 1795888255566,
      sha256: 'dc0bd377aef601aadfe8df638fd117c01ca72fa6b0d0898b37b07325d9151527',
    },
    '0011_row_authentication': {
      when: 1795890465450,
      sha256: '9549eac14dba52172b3fbd6858749df5eca63de8c8c45991dddee9a4d8645935',
    },
    '0012_audit_seals': {
      when: 1795892962566,
      sha256: 'f7e7b93cd99bd7740dae53ea3e6e025c40e534d16dcbfef5d641abc0a9d933b4',
    },
    '0013_browser_flow': {
      when: 1795893761842,
      sha256: '057601e3e02bcda18585daf54d2a72c9d5a07bd9069f0e6ab751f6abbab139fc',
    },
    '0014_events': {
      when: 1795900260247,
      sha256: '13ed8a13ed1af4831dc33a8b8c4d362dd9326c91c446d42975105d12d02872a6',
    },
    '0015_limits': {
      when: 1795913785028,
      sha256: 'e0ea48872a6145578ec81a6b7f135c29551af7b445359db909d880572a753510',
    },
    '0016_captured_lists': {
      when: 1795914714341,
      sha256: '3b36c755e910acf9ca27d2d07d350446f2b79b84284d6baf0e63d8007b25a4c9',
    },
    '0017_checks': {
      when: 1795915993126,
      sha256: 'fcad64970b5ec7ff3945e2563000590fc37a7584053f9a7f53f2b205b71a2109',
    },
    '0018_captures': {
      when: 1795917064158,
      sha256: '4ea8f78cda8240136ca08c5ba8ed7b7feacf192a357f79a1af3cfac79f3c77a2',
    },
    '0019_console': {
      when: 1795922928215,
      sha256: 'f9f685af66c11a70b99ae6f6cef8d209e85d93dfb81a93886a0b2a2075c5530c',
    },
    '0020_counters': {
      when: 1795924853215,
      sha256: '6dfb07ae9e8804e44b2e77493f228d6c69a7166f2e558fc3dc051040b2c44555',
    },
    '0021_connect_pages': {
      when: 1795925596043,
      sha256: 'ca63e4b13541c183d98617dcdbe5c11748e13bf73ea772c6dacaec9ed6fc856d',
    },
    '0022_jobs': {
      when: 1795927302391,
      sha256: 'b8ddfeaa296483804aa4a70e1ed32eb529aff756484111b4c9c724c5f685707d',
    },
    '0023_console_search': {
      when: 1795928043009,
      sha256: '7602da1d9381c770086094c1810400c175044520312df81925edf2ec6231658f',
    },
    '0024_mcp': {
      when: 1795935235285,
      sha256: '0546d2333d99b8f557903ee30c438bb969f0fb805b73386effa4e24f2dc2aa31',
    },
    '0025_signing_keys': {
      when: 1795936284971,
      sha256: '83aec110b78fbfa1c2739d246d8da188ecf9caa2afdf397a8799e880891a647f',
    },
    '0026_agent_sessions': {
      when: 1795936776288,
      sha256: '9083b50138605b5fde89cec99f858c67e1da61ad626082a722a50fbd06dbd6e7',
    },
    '0027_signed_sessions': {
      when: 1795937535300,
      sha256: '004671d5c69301afbcc7315708789b77f6a16d0b068a859c662fcf164942a609',
    },
    '0028_due_times': {
      when: 1795956844970,
      sha256: '2e442635315e17485d9ca8e969f9f98df06cc1eda3354d6d516ab010088208c0',
    },
    '0029_audit_reads': {
      when: 1795959652075,
      sha256: '7c2e97845ef02dd7491f78db98cd09ce54d9acedd54443906aecf8816d90b3d7',
    },
    '0030_change_snapshots': {
      when: 1795959813877,
      sha256: '5ee92e798277f83b21f42eecc1a711d2ee19d29a58e890be1cc2b67a6d8d62c7',
    },
    '0031_refresh_sets': {
      when: 1795978261730,
      sha256: '7276ce7da62fa2d485b26adab7a0bd2351476dffd982fdfa66f674bca64e3b71',
    },
    // Corrected in place once, as 0000 was.
    '0032_refreshed_leases': {
      when: 1796064108538,
      sha256: 'b0dd3ab81c5c1b0463eb6a1899807e44e472a4826d3815eb3045cf32651df7a1',
    },
    '0033_replicas_earlier': {
      when: 1796077919575,
      sha256: '4548a79c4ee6784870632b8a2f60c3c70db84e3d953d80ba29421612253ca691',
    },
    '0034_open_webhooks': {
      when: 1796089612674,
      sha256: '29fbac420f47049422f23f70e36e6ea32a7b103718c6f99560f7f49d9fac1313',
    },
  },
};

describe.each(Object.entries(LANDED))('the migrations of %s', (dialect, landed) => {
  const folder = fileURLToPath(new URL(`../../drizzle/${dialect}`, import.meta.url));
  const textOf = (tag: string) => readFileSync(`${folder}/${tag}.sql`, 'utf8');

  test('are those that have landed, in this order and unchanged', () => {
    const { entries } = JSON.parse(readFileSync(`${folder}/meta/_journal.json`, 'utf8'));
    const found = entries.map(({ tag, when }: { tag: string; when: number }) => [
      tag,
      { when, sha256: createHash('sha256').update(textOf(tag)).digest('hex') },
    ]);
    expect(found).toEqual(Object.entries(landed));
    expect(readdirSync(folder).filter((name) => name.endsWith('.sql'))).toEqual(
      Object.keys(landed).map((tag) => `${tag}.sql`),
    );
  });

  test('name no schema, so that the tables can be in any', () => {
    for (const tag of Object.keys(landed)) {
      const statements = textOf(tag).replaceAll(/^--.*$/gm, '');
      expect(statements, tag).not.toContain('"public"');
    }
  });
});
