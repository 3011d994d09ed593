import HTTPServer
import StockGateway
import StockModel
import Testing

// The form for several locations.
extension ElasticPathTests {
    // MARK: several locations

    static func attributes(_ members: String, type: Bool = true) -> String {
        #"{"data":{\#(type ? #""type":"stock-transaction","# : "")"attributes":{\#(members)}}}"#
    }

    static func postMultiLocation(_ body: String) -> String {
        post(body, fields: [bearer, json, multiLocation])
    }

    @Test(
        "M28: the multi-location form has attributes, a location and the action set",
        arguments: [
            (attributes(#""action":"decrement","quantity":3,"location":"north""#), .adjust, -3, "north"),
            (
                attributes(
                    #""type":"stock-transaction","action":"allocate","quantity":3,"product_id":"x""#, type: false),
                .allocate, 3, "main"
            ),
            (attributes(#""action":"set","quantity":0,"location":null"#), .set, 0, "main"),
            (attributes(#""action":"increment","quantity":0"#), .adjust, 0, "main"),
        ] as [(String, StockAction, Int64, String)])
    func multiLocationCalls(body: String, action: StockAction, quantity: Int64, location: String) throws {
        let line = try TestGateway().stockCall(Self.postMultiLocation(body)).lines[0]
        #expect(line.action == action && line.quantity == quantity && line.locationID == location)
    }

    @Test("M28: the answer is 201 with attributes")
    func multiLocationAnswer() throws {
        let body = Self.attributes(#""action":"set","quantity":4,"location":"north""#)
        let answer = try TestGateway(stock: .success([.result(.applied)])).answer(Self.postMultiLocation(body))
        #expect(answer.status == 201)
        #expect(
            answer.body == #"{"data":{"id":"\#(TransactionID.text(.job(77)))","type":"stock-transaction","attributes":"#
                + #"{"action":"set","product_id":"\#(Self.product)","quantity":4,"location":"north"},"#
                + #""meta":{"timestamps":{"created_at":"2018-05-01T10:10:57.000000Z"}}}}"#)
    }

    @Test(
        "M28: in this form a basic body is a validation error, never a basic answer",
        arguments: [
            body(), attributes(#""action":"increment","quantity":1"#, type: false),
            attributes(#""action":"allocate","quantity":0"#), attributes(#""action":"set","quantity":-1"#),
            attributes(#""action":"set","quantity":1,"location":"""#),
            attributes(#""type":"stock","action":"set","quantity":1"#),
        ])
    func multiLocationFaults(body: String) throws {
        let answer = try TestGateway().answer(Self.postMultiLocation(body))
        #expect(answer.status == 400)
        // The vendor's statuses are texts in this form.
        #expect(answer.body.hasPrefix(#"{"errors":[{"title":"Validation Error","status":"400","#))
    }
}
