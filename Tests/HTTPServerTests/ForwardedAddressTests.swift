import HTTPServer
import Testing

/// The address of a client behind proxies.
@Suite struct ForwardedAddressTests {
    @Test(
        "the address is what the outermost known proxy appended; without known proxies, that of the connection",
        arguments: [
            (0, ["198.51.100.1"], "192.0.2.1"), (1, [], "192.0.2.1"), (1, [""], "192.0.2.1"),
            (1, ["198.51.100.1"], "198.51.100.1"), (1, ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            (2, ["203.0.113.9", "198.51.100.2 ,\t198.51.100.1"], "198.51.100.2"),
            (3, ["198.51.100.1"], "198.51.100.1"), (1, ["2001:db8::1"], "2001:db8::1"),
            (1, [String(repeating: "1", count: 65)], "192.0.2.1"),
        ] as [(Int, [String], String)])
    func addresses(proxies: Int, values: [String], address: String) throws {
        var settings = ServerSettings()
        settings.proxies = proxies
        var machine = ConnectionMachine(settings: settings, peer: PeerAddress("192.0.2.1"))
        let fields = values.map { "x-forwarded-for: \($0)\r\n" }.joined()
        let bytes = Array("GET / HTTP/1.1\r\nHost: x\r\n\(fields)\r\n".utf8)
        var position = 0
        guard case .head(let head) = machine.next(bytes, end: bytes.count, &position) else {
            Issue.record("no head")
            return
        }
        #expect(head.peer == PeerAddress(address))
    }
}
