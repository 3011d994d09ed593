import Foundation
import StockQueue
import TestSupport
import Testing

/// The commands for the callers of the gateway.
@Suite("Token commands") struct TokenCommandTests {
    private static func json(_ text: String) throws -> [String: String] {
        try JSONDecoder().decode([String: String].self, from: Data(text.utf8))
    }

    @Test("a token is printed once, kept as a hash, listed and revoked") func tokens() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let create = ["tokens", "create", "shop", "--store", "s", "--store", "t,1", "--scope", "update_catalog"]
            let created = try program.run(create + ["--expires", "1h", "--json"])
            #expect(created.code == 0, "\(created.err)")
            let token = try #require(try Self.json(created.out)["token"])
            #expect(token.hasPrefix("secret_") && token.utf8.count == 7 + 64)
            #expect(
                try database.value(
                    """
                    SELECT concat_ws(' ', stores, scopes, expires_at > now() + interval '59 min') FROM stockq.gateway_tokens
                    WHERE token_hash = encode(sha256('\(token)'), 'hex')
                    """) == "{s,t,1} {update_catalog} t")
            let again = try program.run(create)
            #expect(again.code == 1 && again.err.contains("there is a token 'shop'"))
            let list = try program.run(["tokens", "list", "--json"]).out
            #expect(list.contains(#""stores":["s","t,1"]"#) && !list.contains(token.suffix(64)))
            #expect(try program.run(["tokens", "list"]).out.contains("s, t,1"))
            #expect(try program.run(["tokens", "revoke", "shop"]).out == "token shop: valid → revoked\n")
            let missing = try program.run(["tokens", "revoke", "shop"])
            #expect(missing.code == 1 && missing.err.contains("there is no valid token "))
            let open = ["tokens", "create", "shop", "--store", "s", "--scope", "update_catalog", "--anonymous"]
            #expect(try program.run(open).out == "created\n")
            #expect(try program.run(["tokens", "list"]).out.contains("shop (without a token)"))
            #expect(
                try database.rows("SELECT verb FROM stockq.operations ORDER BY operation_id") == [
                    "tokens create", "tokens revoke", "tokens create",
                ])
            #expect(try String(contentsOfFile: database.logFile, encoding: .utf8).contains(token) == false)
            for words in [["--store", "s"], ["--scope", "update_catalog"]] {
                #expect(try program.run(["tokens", "create", "x"] + words).code == 2)
            }
        }
    }

    @Test("a client's secret is printed once, kept as a hash, listed and revoked") func clients() async throws {
        try await withDatabase { database in
            let program = Program(database)
            let create = ["clients", "create", "warehouse", "--store", "s", "--scope", "update_catalog"]
            let created = try Self.json(try program.run(create + ["--json"]).out)
            let (id, secret) = (try #require(created["client_id"]), try #require(created["client_secret"]))
            #expect(
                try database.value(
                    """
                    SELECT client_id FROM stockq.gateway_clients WHERE secret_hash = encode(sha256('\(secret)'), 'hex')
                    """) == id)
            #expect(try program.run(create).err.contains("there is a client 'warehouse'"))
            let list = try program.run(["clients", "list", "--json"]).out
            #expect(list.contains(id) && !list.contains(secret))
            #expect(try program.run(["clients", "list"]).out.contains(id))
            #expect(try program.run(["clients", "revoke", "warehouse"]).out == "client warehouse: valid → revoked\n")
            #expect(try program.run(["clients", "revoke", "warehouse"]).code == 1)
            #expect(
                try database.rows("SELECT verb FROM stockq.operations ORDER BY operation_id") == [
                    "clients create", "clients revoke",
                ])
        }
    }

    @Test("only an administrator may create, list and revoke callers") func administratorsOnly() async throws {
        try await withDatabase { database in
            let name = "keeper_of_\(database.name)"
            try database.run("CREATE ROLE \(name) LOGIN")
            for role in ["producer", "worker", "gateway", "reader", "admin"] {
                try database.run("GRANT stockq_\(role) TO \(name)")
                var program = Program()
                program.environment["DATABASE_URL"] = database.settings(as: name).conninfo
                for words in [
                    "tokens create \(role) --store s --scope update_catalog", "tokens list",
                    "clients create \(role) --store s --scope update_catalog", "clients list",
                ] {
                    let ended = try program.run(words.split(separator: " ").map(String.init))
                    #expect(ended.code == (role == "admin" ? 0 : 1), "\(role): \(words): \(ended.err)")
                }
                try database.run("REVOKE stockq_\(role) FROM \(name)")
            }
            try database.run("DROP OWNED BY \(name); DROP ROLE \(name)")
        }
    }
}
