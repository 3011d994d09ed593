import CommandLineKit
import Foundation
import StockQueuePostgres
import TestSupport
import Testing
import stockq

/// Every command as every role that docs/operating/roles.md names, and as the owner of the tables.
@Suite("Commands by role") struct CommandsByRoleTests {
    private static let roles = ["producer", "worker", "reader", "admin", "owner"]

    struct Call: Sendable, CustomTestStringConvertible {
        /// The words after `stockq`.
        var command: String
        var input = ""
        /// The exit code where the command does what it says: 1 where there is nothing to do.
        var code: Int32 = 0
        /// The roles that may, besides the owner.
        var roles: Set<String>

        var testDescription: String { command }
    }

    private static let producers: Set = ["producer", "admin"]
    private static let readers: Set = ["reader", "admin"]
    private static let items = "store_id,item_id,on_hand,low_stock_threshold\ns,a,7,3\ns,new,1,\n"

    static let calls = [
        Call(command: "items import -", input: items, roles: ["admin"]),
        Call(command: "items import - --set-stock", input: items, roles: ["admin"]),
        Call(command: "items list", roles: ["producer", "worker", "reader", "admin"]),
        Call(command: "items show s a", roles: ["producer", "reader", "admin"]),
        Call(command: "items set s a --threshold 3", roles: ["admin"]),
        Call(command: "items retire s empty", roles: ["admin"]),
        Call(command: "items snooze s a +1h", roles: ["admin"]),
        Call(command: "alerts set s --threshold 5 --quiet 1h --margin 2", roles: ["admin"]),
        Call(command: "alerts list", roles: ["worker", "reader", "admin"]),
        Call(command: "alerts remove s", roles: ["admin"]),
        Call(command: "items reconcile s a --reason counted", roles: ["admin"]),
        Call(command: "items rename s empty void", roles: ["admin"]),
        Call(command: "items move s empty main shelf", roles: ["admin"]),
        Call(command: "enqueue s a -1", roles: producers),
        Call(command: "enqueue s a 5 --action set", roles: producers),
        Call(command: "enqueue s a -1 --dry-run", roles: ["producer", "reader", "admin"]),
        Call(command: "transfer s a 1 main back", roles: producers),
        Call(command: "import -", input: "store_id,item_id,quantity\ns,a,-1\n", roles: producers),
        Call(
            command: "import - --idempotency-prefix p", input: "store_id,item_id,quantity\ns,a,-1\n", roles: producers),
        Call(command: "cancel 3", roles: producers),
        Call(command: "cancel --store s --key k", roles: producers),
        Call(command: "retry 2", roles: ["admin"]),
        Call(command: "reprioritize 1 3", roles: ["admin"]),
        Call(command: "run --drain --log-level error", roles: ["worker"]),
        Call(command: "pause --store s", roles: ["admin"]),
        Call(command: "resume --store s", roles: ["admin"]),
        Call(command: "limits set s 100", roles: ["admin"]),
        Call(command: "reasons set --only-listed", roles: ["admin"]),
        Call(command: "reasons list", roles: ["producer", "reader", "admin"]),
        Call(command: "prune", roles: ["admin"]),
        Call(command: "export results", roles: ["producer", "worker", "reader", "admin"]),
        Call(command: "export items", roles: ["producer", "worker", "reader", "admin"]),
        Call(command: "result 1", roles: ["producer", "worker", "reader", "admin"]),
        Call(command: "jobs list", roles: ["producer", "reader", "admin"]),
        Call(command: "results list", roles: ["producer", "worker", "reader", "admin"]),
        Call(command: "imports list", roles: ["producer", "reader", "admin"]),
        // Only the owner has imported something.
        Call(command: "imports show owners", roles: readers),
        Call(command: "operations list", roles: readers),
        Call(command: "limits list", roles: ["producer", "reader", "admin"]),
        Call(command: "stats", roles: ["worker", "reader", "admin"]),
        Call(command: "stats --by store", roles: ["producer", "worker", "reader", "admin"]),
        // No worker is connected, and doctor finds that.
        Call(command: "workers", code: 1, roles: ["producer", "worker", "reader", "admin"]),
        Call(command: "doctor", code: 1, roles: readers),
        Call(command: "top --once", roles: readers),
        Call(command: "dashboard --check", roles: readers),
        Call(command: "notifications", roles: ["producer", "worker", "reader", "admin"]),
        Call(command: "verify", roles: ["worker", "reader", "admin"]),
        Call(command: "verify --store s --item a", roles: ["worker", "reader", "admin"]),
        Call(command: "grant %producer --store s", roles: ["admin"]),
        Call(command: "revoke %producer --store s", roles: ["admin"]),
        Call(command: "grants list", roles: readers),
        Call(command: "tokens create t --store s --scope read_catalog", roles: ["admin"]),
        Call(command: "tokens list", roles: ["admin"]),
        Call(command: "tokens revoke first", roles: ["admin"]),
        Call(command: "clients create c --store s --scope read_catalog", roles: ["admin"]),
        Call(command: "clients list", roles: ["admin"]),
        Call(command: "clients revoke first", roles: ["admin"]),
        Call(command: "changes", roles: ["producer", "worker", "reader", "admin"]),
        Call(command: "subscriptions add second --command p", roles: ["admin"]),
        Call(command: "subscriptions list", roles: ["admin"]),
        Call(command: "subscriptions test first", roles: ["admin"]),
        Call(command: "subscriptions enable first", roles: ["admin"]),
        Call(command: "subscriptions disable first", roles: ["admin"]),
        Call(command: "subscriptions rotate first", roles: ["admin"]),
        Call(command: "subscriptions remove first", roles: ["admin"]),
        Call(command: "deliveries list", roles: ["reader", "admin"]),
        Call(command: "deliveries retry --subscription first", roles: ["admin"]),
        Call(command: "deliveries replay first --since 1h", roles: ["admin"]),
        Call(command: "config", roles: ["producer", "worker", "reader", "admin"]),
        Call(command: "migrate --status", roles: ["producer", "worker", "reader", "admin"]),
    ]

    @Test("a role can run the commands that the documentation gives it, and no others", arguments: calls)
    func commands(call: Call) async throws {
        try await withDatabase { database in
            let name = { (role: String) in role == "owner" ? "stockq" : "\(role)_of_\(database.name)" }
            for role in Self.roles.dropLast() {
                try database.run("CREATE ROLE \(name(role)) LOGIN; GRANT stockq_\(role) TO \(name(role))")
            }
            defer { for role in Self.roles.dropLast() { try? database.run("DROP ROLE \(name(role))") } }
            let words = call.command.replacing("%producer", with: name("producer"))
            var isChanged = true
            for role in Self.roles {
                if isChanged { try Self.use(database, producer: name("producer")) }
                var program = Program(database)
                program.environment["DATABASE_URL"] = database.settings(as: name(role)).conninfo
                let ended = try program.run(words.split(separator: " ").map(String.init), input: call.input)
                let isAllowed = role == "owner" || call.roles.contains(role)
                isChanged = isAllowed
                #expect((ended.code == call.code) == isAllowed, "\(role): \(ended.code) \(ended.out)\(ended.err)")
                if !isAllowed { #expect(Self.isExplained(ended.err), "\(role): \(ended.err)") }
            }
        }
    }

    /// Whether a message says more than that something failed.
    private static func isExplained(_ message: String) -> Bool {
        ["permission denied", "row-level security", "scope", "blocked", "may not", "privilege", "role", "may read"]
            .contains { message.contains($0) }
    }

    /// Begins again: job 1 is applied, job 2 rejected, job 3 queued.
    private static func use(_ database: TestDatabase, producer: String) throws {
        try database.run(
            """
            TRUNCATE stockq.jobs, stockq.results, stockq.items, stockq.notifications, stockq.idempotency_keys,
                stockq.retries, stockq.retired_items, stockq.gateway_tokens, stockq.gateway_clients, stockq.subscriptions,
                stockq.deliveries, stockq.change_log, stockq.alert_policies, stockq.snoozes, stockq.announced_stores,
                stockq.announced_items, stockq.announcements, stockq.imports, stockq.import_parts RESTART IDENTITY;
            INSERT INTO stockq.imports (given_name, label, kind, imported_by) VALUES ('owners', '-', 'jobs', 'stockq');
            SELECT stockq.set_alert_policy('s', rearm_margin => 1);
            SELECT stockq.add_subscription('first', 'webhook', 'http://localhost/', secret => 'whsec_x');
            SELECT stockq.create_gateway_token('first', repeat('0', 64), '{s}', '{read_catalog}');
            SELECT stockq.create_gateway_client('first', 'first', repeat('1', 64), 's', '{read_catalog}');
            SELECT stockq.resume(everything => true);
            SELECT stockq.set_reasons(only_listed => false);
            INSERT INTO stockq.items (store_id, item_id, location_id, on_hand) VALUES
                ('s', 'a', 'main', 9), ('s', 'a', 'back', 0), ('s', 'empty', 'main', 0);
            SELECT stockq.grant_store('\(producer)', 's', '{update_catalog,read_catalog}');
            SELECT stockq.enqueue('s', 'a', -1), stockq.enqueue('s', 'a', -100);
            """)
        try database.drain()
        try database.run("SELECT stockq.enqueue('s', 'a', -1), stockq.enqueue('s', 'a', -1, idempotency_key => 'k')")
    }

    @Test("the table has every command that uses the database") func everyCommand() {
        let tried = Self.calls.map(\.command)
        let missing = Main.program.commands.map(\.name).filter { name in !tried.contains { $0.hasPrefix(name) } }
        // The demo has a server of its own; ServeCommandTests run the gateway with its role. The others need no server.
        #expect(Set(missing) == ["demo", "serve", "completions", "man"])
    }
}
