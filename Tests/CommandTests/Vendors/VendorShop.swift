import Foundation
import TestSupport
import Testing

/// A store with items of each kind, tokens, and a gateway with workers.
struct VendorShop: Sendable {
    static let product = "/api/v3/1003/products/39766764/inventory"
    static let variation = "/api/v3/1003/products/39766764/combinations/7084060/inventory"
    static let json = "Content-Type: application/json"
    static let stockID = "9eda5ba0-4f4a-4074-8547-ccb05d1b5981"

    let shop: ServeCommandTests.Shop
    let port: Int
    /// `Authorization` with a token that may do everything in the store 1003.
    var bearer: String { "Authorization: Bearer \(shop.token)" }

    init(_ database: TestDatabase, _ arguments: [String] = []) throws {
        shop = try ServeCommandTests.Shop(database, arguments)
        port = Int(shop.address.split(separator: ":").last ?? "") ?? 0
        try database.run(
            """
            INSERT INTO stockq.items (store_id, item_id, parent_id, on_hand, tracked) VALUES
                ('1003', 'unlimited', NULL, 0, false), ('1003', '47', NULL, 100, true), ('1003', '48', '47', 100, true),
                ('1003', '63e4f4fabf61b3a5047d9da4', NULL, 1000, true),
                ('1003', '63e64f99ca104a61440fd50b', '63e4f4fabf61b3a5047d9da4', 1000, true),
                ('1003', '\(Self.stockID)', NULL, 1000, true), ('1004', 'elsewhere', NULL, 15, true)
            """)
    }

    /// A token of other stores or scopes.
    func token(_ name: String, store: String = "1003", scopes: [String], _ more: [String] = []) throws -> String {
        let arguments = ["tokens", "create", name, "--store", store] + scopes.flatMap { ["--scope", $0] } + more
        return try ServeCommandTests.Shop.member("token", of: Program(shop.database).run(arguments + ["--json"]))
    }

    func client() throws -> RawClient { try RawClient(port: port) }

    /// One request on a connection of its own.
    func answer(_ request: String, hasBody: Bool = true) throws -> RawClient.Answer {
        let client = try client()
        client.send(request)
        return try client.readAnswer(hasBody: hasBody)
    }

    private func stock() throws -> [Int64] {
        try shop.database.value("SELECT sum(on_hand), sum(allocated) FROM stockq.items WHERE store_id = '1003'")
            .split(separator: ",").compactMap { Int64($0) }
    }

    /// Sends each request, and compares its answer and its effect.
    func check(_ cases: [VendorCase], _ form: ErrorForm) throws {
        for one in cases {
            let before = try stock()
            let answer: RawClient.Answer
            do { answer = try self.answer(one.request, hasBody: !one.request.hasPrefix("HEAD ")) } catch {
                Issue.record("\(one.number): \(error)")
                continue
            }
            #expect(answer.status == one.status, "\(one.number): \(answer)")
            for part in one.parts where !one.request.hasPrefix("HEAD ") {
                let isWhole = part.hasPrefix("{") && part.hasSuffix("}")
                #expect(isWhole ? answer.body == part : answer.body.contains(part), "\(one.number): \(answer)")
            }
            for field in one.fields { #expect(answer.head.contains("\r\n\(field)"), "\(one.number): \(answer)") }
            let after = try stock()
            #expect(after == [before[0] + one.change, before[1] + one.allocated], "\(one.number): \(before) \(after)")
            checkForm(answer, form, one)
        }
    }

    /// What holds for every answer.
    private func checkForm(_ answer: RawClient.Answer, _ form: ErrorForm, _ one: VendorCase) {
        #expect(answer.head.contains("\r\nDate: "), "\(one.number)")
        // H27.
        #expect(!(answer.head + answer.body).contains(shop.token), "\(one.number): a token in the answer")
        if answer.status == 204 || one.request.hasPrefix("HEAD ") { return }
        if form != .plain {
            #expect(
                answer.head.contains("\r\nContent-Type: application/json; charset=utf-8"), "\(one.number): \(answer)")
        }
        if answer.status >= 400 {
            let fault = form.fault(answer)
            #expect(fault == nil, "\(one.number): \(answer)")
        }
    }
}

/// Runs a body with a gateway of its own, and stops that as an administrator does.
func withVendorShop(
    _ arguments: [String] = [], _ body: @escaping @Sendable (VendorShop) throws -> Void
) async throws {
    try await withDatabase { (database: TestDatabase) throws in
        let shop = try VendorShop(database, arguments)
        try body(shop)
        try shop.shop.stop()
    }
}
