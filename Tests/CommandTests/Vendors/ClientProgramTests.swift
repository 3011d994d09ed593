import Foundation
import TestSupport
import Testing

/// Clients as shops use them: axios, fetch, Python's requests, curl.
@Suite struct ClientProgramTests {
    private static let product = "63e4f4fabf61b3a5047d9da4"
    private static let variant = "63e64f99ca104a61440fd50b"

    /// Runs a program of node with Debian's modules.
    private static func node(_ script: String) throws -> Program.Ended {
        try Program().start(
            ["--input-type=commonjs", "-e", script], environment: ["NODE_PATH": "/usr/share/nodejs"],
            executable: "/usr/bin/node"
        ).wait()
    }

    @Test("axios runs Prosperna's published snippet") func axios() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            let target = "http://\(shop.shop.address)/v1/products/stock-quantity?store_id=1003&token=\(shop.shop.token)"
            let ended = try Self.node(
                """
                const axios = require('axios');
                const data = JSON.stringify([
                    { "product_id": "\(Self.product)", "purchased_quantity": 9 },
                    { "purchased_quantity": 5, "product_variant_combination_id": "\(Self.variant)" }
                ]);
                const config = { method: 'post', url: '\(target)', headers: { }, data : data };
                axios(config)
                    .then(function (response) { console.log(JSON.stringify(response.data)); })
                    .catch(function (error) { console.log(error); });
                """)
            #expect(
                ended.out == #"{"data":null,"message":"Inventory successfully updated.","statusCode":200}"# + "\n",
                "\(ended)")
            let refused = try Self.node(
                """
                require('axios').post('\(target)', '[]').catch(e => console.log(JSON.stringify(e.response.data)));
                """)
            #expect(refused.out.contains(#""statusCode":400,"error":true}"#), "\(refused)")
            let stock = try shop.shop.database.rows(
                "SELECT on_hand FROM stockq.items WHERE item_id IN ('\(Self.product)', '\(Self.variant)') ORDER BY 1")
            #expect(stock == ["991", "995"])
        }
    }

    @Test("fetch adjusts with each vendor's call, on connections that it keeps") func fetch() async throws {
        try await withVendorShop { (shop: VendorShop) throws in
            let base = "http://\(shop.shop.address)"
            let ended = try Self.node(
                """
                const fields = { Authorization: 'Bearer \(shop.shop.token)', 'Content-Type': 'application/json' };
                const call = async (method, path, body, headers = fields) => {
                    const answer = await fetch('\(base)' + path, { method, headers, body });
                    console.log(answer.status, await answer.text());
                };
                (async () => {
                    for (let i = 0; i < 3; i++)
                        await call('PUT', '\(VendorShop.product)', JSON.stringify({ quantityDelta: -1 }));
                    await call('POST', '/v1/products/stock-quantity?store_id=1003&token=\(shop.shop.token)',
                        JSON.stringify([{ product_id: '\(Self.product)', purchased_quantity: 1 }]), {});
                    await call('POST', '/v2/inventories/\(VendorShop.stockID)/transactions',
                        JSON.stringify({ data: { type: 'stock-transaction', action: 'decrement', quantity: 1e7 } }));
                    await Promise.all(Array.from({ length: 50 }, () =>
                        call('PUT', '\(VendorShop.product)', '{"quantityDelta": 1}')));
                })();
                """)
            let lines = ended.out.split(separator: "\n").map(String.init)
            #expect(lines.prefix(3).allSatisfy { $0 == #"200 {"updateCount":1}"# }, "\(ended)")
            #expect(
                lines.count == 55 && lines[3].hasPrefix("200 {") && lines[4].hasPrefix(#"422 {"errors":[{"status":422"#)
            )
            #expect(lines.dropFirst(5).allSatisfy { $0 == #"200 {"updateCount":1}"# })
            #expect(try shop.shop.onHand() == "62")
        }
    }

    @Test("requests sends a form type or none, floats, and True; a session reuses its connection") func requests()
        async throws
    {
        try await withVendorShop { (shop: VendorShop) throws in
            let script = """
                import json, requests
                base, token = "http://\(shop.shop.address)", "\(shop.shop.token)"
                session = requests.Session()
                session.headers["Authorization"] = "Bearer " + token
                product = base + "\(VendorShop.product)"
                def show(answer): print(answer.status_code, json.dumps(answer.json()))
                show(session.put(product, json={"quantityDelta": -10.0}, params={"checkLowStockNotification": True}))
                show(requests.put(product, json={"quantityDelta": 3}, params={"token": token, "limit": 100}))
                show(session.put(product, data='{"quantityDelta": 1}'))
                target = base + "/v1/products/stock-quantity?store_id=1003&token=" + token
                lines = [{"product_id": "\(Self.product)", "purchased_quantity": 2}]
                show(requests.post(target, data=json.dumps(lines)))
                show(requests.post(target, json=lines))
                show(requests.post(target, data={"a": 1}))
                stock = base + "/v2/inventories/\(VendorShop.stockID)"
                body = {"data": {"type": "stock-transaction", "action": "allocate", "quantity": 4}}
                print(session.post(stock + "/transactions", json=body).json()["data"]["action"])
                show(session.get(stock))
                """
            let ended = try ProducerDocsTests.python(script, shop.shop.database)
            let wrong = "Unsupported content-type: expected application/json or text/json"
            let updated = #"{"data": null, "message": "Inventory successfully updated.", "statusCode": 200}"#
            let expected = [
                #"200 {"updateCount": 1}"#, #"200 {"updateCount": 1}"#,
                #"415 {"errorMessage": "\#(wrong)", "errorCode": "UNSUPPORTED_CONTENT_TYPE"}"#, "200 \(updated)",
                "200 \(updated)",
            ]
            let lines = ended.out.split(separator: "\n").map(String.init)
            #expect(Array(lines.prefix(5)) == expected, "\(ended)")
            #expect(lines.count == 8 && lines[5].hasPrefix("400 ") && lines[6] == "allocate", "\(ended)")
            #expect(lines.last?.contains(#""available": 996, "allocated": 4"#) == true, "\(ended)")
            #expect(try shop.shop.onHand() == "8")
        }
    }
}
