// What `VALETKEY_OUTBOUND_ALLOW` may not allow: everything, and the metadata services of clouds, which hand out the credentials
// of the machine to all that ask from it.
import ipaddr from 'ipaddr.js';
import { isTooWide } from '../../domain/ip-ranges.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Addresses and ranges that are for the machine itself: link-local, and metadata services at other addresses. */
const MACHINE = [
  // AWS, Azure, Google Cloud, and others; ECS and EKS.
  '169.254.0.0/16',
  // Alibaba Cloud; Azure's host; Oracle Cloud.
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  'fe80::/10',
  // AWS and EKS; Google Cloud.
  'fd00:ec2::254/128',
  'fd00:ec2::23/128',
  'fd20:ce::254/128',
].map((cidr) => ipaddr.parseCIDR(cidr));
/** All of IPv4, mapped and translated (RFC 4291 2.5.5.2, RFC 6052 2.1). */
const ALL_OF_IPV4 = ['::ffff:0:0', '64:ff9b::'].map((prefix) => ipaddr.parse(prefix));
const METADATA_HOST = /^(metadata|instance-data)(\.|$)|(^|\.)metadata\.goog$/;

/** Whether an address is the machine's own: never connected to, whatever is allowed. */
export const isMachineAddress = (address: Address): boolean =>
  MACHINE.some(([range, bits]) => address.kind() === range.kind() && address.match(range, bits));

/** Why a host name or range may not be allowed, in words; undefined when it may. */
export function allowFault(entry: string | [Address, number]): string | undefined {
  if (typeof entry === 'string')
    return METADATA_HOST.test(entry)
      ? 'is a metadata service, which hands out the credentials of the machine'
      : undefined;
  const [address, bits] = entry;
  const hasIpv4 = ALL_OF_IPV4.some((all) => all.kind() === address.kind() && all.match(address, bits));
  if (isTooWide({ address, bits }) || hasIpv4) return 'would allow nearly everything: list your own networks';
  const isWithin = MACHINE.some(
    ([range, wide]) => address.kind() === range.kind() && bits >= wide && address.match(range, wide),
  );
  return isWithin ? 'is an address of the machine itself, or of a metadata service' : undefined;
}
