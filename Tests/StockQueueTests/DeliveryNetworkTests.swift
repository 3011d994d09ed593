import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Webhooks to names that a name server of the test resolves, in a network of its own without a way out.
@Suite("Delivery and name servers", .timeLimit(.minutes(15))) struct DeliveryNetworkTests {
    /// Only root may make a network, and not in every container.
    private static let isPossible: Bool = {
        let ended = try? Program().start(
            ["-n", "-m", "mount", "--bind", "/dev/null", "/etc/resolv.conf"], executable: "/usr/bin/unshare"
        ).wait()
        return ended?.code == 0
    }()

    /// The address of a receiver that counts as public.
    private static let publicAddress = "93.184.215.14"

    /// Gives the loopback device more addresses, answers look-ups and webhooks on them, and runs a deliverer.
    private static let script = #"""
        import ctypes, fcntl, os, signal, socket, socketserver, struct, subprocess, sys, tempfile, threading
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        PUBLIC, PRIVATE = "93.184.215.14", "10.0.0.1"
        control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

        def request(code, name, data):
            fcntl.ioctl(control, code, name.encode().ljust(16, b"\0") + data.ljust(24, b"\0"))

        request(0x8914, "lo", struct.pack("h", 0x49))  # SIOCSIFFLAGS: up, loopback, running
        for number, address in enumerate([PUBLIC, PRIVATE]):
            data = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
            request(0x8916, "lo:%d" % number, data)  # SIOCSIFADDR
        resolver = tempfile.NamedTemporaryFile("w")
        resolver.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        resolver.flush()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(resolver.name.encode(), b"/etc/resolv.conf", None, 4096, None) != 0:  # MS_BIND
            raise OSError(ctypes.get_errno())

        A, AAAA = 1, 28
        four, six = socket.inet_aton, lambda text: socket.inet_pton(socket.AF_INET6, text)
        names = {
            ("public.test", A): [four(PUBLIC)], ("private.test", A): [four(PRIVATE)],
            ("loopback.test", A): [four("127.0.0.1")], ("mixed.test", A): [four(PUBLIC), four(PRIVATE)],
            ("link.test", A): [four("169.254.169.254")], ("six.test", AAAA): [six("fd00::1")],
            ("mapped.test", AAAA): [six("::ffff:10.0.0.1")],
            # A public address for IPv4 and a private one for IPv6.
            ("families.test", A): [four(PUBLIC)], ("families.test", AAAA): [six("::1")],
        }
        asked = set()

        class Names(socketserver.BaseRequestHandler):
            def handle(self):
                query, answer_to = self.request
                end, labels = 12, []
                while query[end]:
                    labels.append(query[end + 1:end + 1 + query[end]].decode())
                    end += query[end] + 1
                name, (kind,) = ".".join(labels).lower(), struct.unpack("!H", query[end + 1:end + 3])
                found = names.get((name, kind), [])
                if name == "rebound.test" and kind == A:  # another address when it is asked again
                    found = [four(PRIVATE if name in asked else PUBLIC)]
                    asked.add(name)
                answer = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0) + query[12:end + 5]
                for address in found:
                    answer += struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(address)) + address
                answer_to.sendto(answer, self.client_address)

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                # In one write: each request has a thread of its own.
                os.write(1, b"%s %s\n" % (self.headers["Host"].encode(), self.connection.getsockname()[0].encode()))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        servers = [socketserver.UDPServer(("127.0.0.1", 53), Names)]
        servers += [ThreadingHTTPServer((address, 80), Receiver) for address in ["127.0.0.1", PUBLIC, PRIVATE]]
        for server in servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        deliverer = subprocess.Popen(sys.argv[1:])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        signal.signal(signal.SIGTERM, lambda *arguments: deliverer.terminate())
        sys.exit(deliverer.wait())
        """#

    @Test(
        "a webhook goes to the address that was checked, and to no name that has an address inside the network",
        .enabled(if: DeliveryNetworkTests.isPossible, "needs root, for a network of its own"))
    func resolvedNames() async throws {
        try await withDatabase { database in
            let inside = ["private", "loopback", "mixed", "link", "six", "mapped", "families"]
            let names = ["public", "rebound"] + inside
            try database.run("INSERT INTO stockq.items (store_id, item_id, on_hand) VALUES ('s', 'a', 1)")
            for name in names + ["unknown"] {
                try database.run(
                    """
                    SELECT stockq.add_subscription('\(name)', 'webhook', 'http://\(name).test/stock',
                        secret => '\(WebhookReceiver.secret)')
                    """)
            }
            try database.enqueue(.adjust("a", -1))
            try database.drain()
            let running = try Program(database).start(
                [
                    "-n", "-m", "python3", "-c", Self.script, Program.path, "deliver", "--set",
                    "deliveryPollInterval=20ms", "--set", "deliveryTimeout=5s",
                ], executable: "/usr/bin/unshare")
            let hasAttempted = try eventually(seconds: 60) {
                try database.value("SELECT count(*) FROM stockq.deliveries WHERE claim_id IS NULL AND attempts > 0")
                    == "\(names.count + 1)"
            }
            running.send(SIGTERM)
            let ended = try running.wait()
            #expect(hasAttempted && ended.code == 0, "\(ended.err)")
            let ends = try database.rows(
                """
                SELECT name, state, coalesce(last_error, '') FROM stockq.deliveries
                JOIN stockq.subscription_names() USING (subscription_id) ORDER BY subscription_id
                """)
            let refused = inside.map { name in
                "\(name),pending,\(name).test has an address that is not public; "
                    + "the setting allowPrivateTargets allows it"
            }
            #expect(ends.dropLast() == ["public,delivered,", "rebound,delivered,"] + refused)
            #expect(ends.last?.hasPrefix("unknown,pending,unknown.test cannot be resolved: ") == true, "\(ends)")
            // The name server names a private address for rebound.test when it is asked a second time.
            #expect(
                Set(ended.out.split(separator: "\n").map(String.init)) == [
                    "public.test \(Self.publicAddress)", "rebound.test \(Self.publicAddress)",
                ])
        }
    }
}
