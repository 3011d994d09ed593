import Foundation

/// An IP address that a webhook's host name resolves to, and whether a message may go there.
///
/// A store's owner chooses the URL. Addresses inside the network of this process would let them reach what no outsider
/// may reach (server-side request forgery).
package enum TargetAddress: Hashable, Sendable {
    case v4(UInt32)
    /// The upper and the lower half.
    case v6(UInt64, UInt64)

    /// The addresses of a host name, or of an address in text.
    ///
    /// Blocks the thread while the resolver asks.
    package static func resolve(_ host: String) throws(ResolutionError) -> [TargetAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else { throw ResolutionError(message: String(cString: gai_strerror(code))) }
        defer { freeaddrinfo(list) }
        var found: [TargetAddress] = []
        var next = list
        while let entry = next?.pointee {
            if let address = TargetAddress(entry), !found.contains(address) { found.append(address) }
            next = entry.ai_next
        }
        return found
    }

    package struct ResolutionError: Error {
        package let message: String
    }

    private init?(_ entry: addrinfo) {
        guard let address = entry.ai_addr else { return nil }
        switch entry.ai_family {
        case AF_INET:
            self = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                .v4(UInt32(bigEndian: $0.pointee.sin_addr.s_addr))
            }
        case AF_INET6:
            self = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { six in
                withUnsafeBytes(of: six.pointee.sin6_addr) { bytes in
                    .v6(
                        UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
                }
            }
        default: return nil
        }
    }

    /// Whether the address is one of the public internet.
    ///
    /// The registries of special-purpose addresses are
    /// https://www.iana.org/assignments/iana-ipv4-special-registry and …/iana-ipv6-special-registry. Of IPv6, only
    /// 2000::/3 is allocated; an IPv4 address inside an IPv6 address counts as that IPv4 address.
    package var isPublic: Bool {
        switch self {
        case .v4(let address): !Self.special.contains { address >> (32 - $0.bits) == $0.network >> (32 - $0.bits) }
        case .v6(let upper, let lower):
            if upper == 0, lower >> 32 == 0xffff {  // ::ffff:0:0/96, an IPv4 address
                TargetAddress.v4(UInt32(truncatingIfNeeded: lower)).isPublic
            } else if upper >> 48 == 0x2002 {  // 6to4
                TargetAddress.v4(UInt32(truncatingIfNeeded: upper >> 16)).isPublic
            } else {
                upper >> 61 == 1 && upper >> 32 != 0x2001_0db8 && upper >> 41 != 0x2001_0000 >> 9
            }
        }
    }

    private static let special: [(network: UInt32, bits: Int)] = [
        (0x0000_0000, 8), (0x0a00_0000, 8), (0x6440_0000, 10), (0x7f00_0000, 8), (0xa9fe_0000, 16),
        (0xac10_0000, 12), (0xc000_0000, 24), (0xc000_0200, 24), (0xc058_6300, 24), (0xc0a8_0000, 16),
        (0xc612_0000, 15), (0xc633_6400, 24), (0xcb00_7100, 24), (0xe000_0000, 3),
    ]

    /// As a URL has it.
    package var urlHost: String {
        switch self {
        case .v4(let address): (0..<4).map { "\(address >> (24 - 8 * UInt32($0)) & 255)" }.joined(separator: ".")
        case .v6(let upper, let lower):
            "["
                + [upper, lower].flatMap { half in
                    (0..<4).map { String(half >> (48 - 16 * UInt64($0)) & 0xffff, radix: 16) }
                }.joined(separator: ":") + "]"
        }
    }
}
