import FuzzTargets
import HTTPServer
import Testing

@Suite struct RouterTests {
    private static let router = {
        var router = Router<String>()
        router.add(.get, "/", "root")
        router.add(.get, "/items", "items")
        router.add(.get, "/items/{id}", "item")
        router.add(.put, "/items/{id}/stock", "stock")
        router.add(.post, "/items/all/stock", "all")
        router.add(.put, "/forms/{name}", coding: .form, "form")
        router.add(.get, "/files/{path*}", "file")
        return router
    }()

    private static func match(_ method: HTTPMethod, _ path: String) -> String {
        switch router.match(method, ArraySlice(path.utf8)) {
        case .found(let action, let parameters):
            let names = ["id", "name", "path"].filter { name in
                (action == "item" || action == "stock") && name == "id" || action == "form" && name == "name"
                    || action == "file" && name == "path"
            }
            return ([action] + names.map { parameters[$0] }).joined(separator: " ")
        case .methodNotAllowed(let methods): return "405 " + methods.map(\.description).joined(separator: ",")
        case .notFound: return "404"
        case .malformed: return "400"
        }
    }

    @Test(
        "a path finds its route",
        arguments: [
            ("/", "root"), ("", "root"), ("/items", "items"), ("/items/", "items"), ("//items", "items"),
            ("/items/5", "item 5"), ("/items/a%2Fb", "item a/b"), ("/items/a+b", "item a+b"),
            ("/items/%C3%BC", "item ü"), ("/items/..", "item .."), ("/items/.", "item ."), ("/Items", "404"),
            ("/item%73", "404"), ("/items/5/stock/6", "404"), ("/items/%zz", "400"), ("/items/%4", "400"),
            ("/items/%00", "400"), ("/items/%FF", "400"), ("/files/a/b%20c", "file a/b c"), ("/files", "404"),
        ]) func paths(_ path: String, _ expected: String)
    { #expect(Self.match(.get, path) == expected) }

    @Test("a literal comes before a parameter, and gives way where it leads nowhere")
    func precedence() {
        #expect(Self.match(.put, "/items/5/stock") == "stock 5")
        #expect(Self.match(.post, "/items/all/stock") == "all")
        #expect(Self.match(.get, "/items/all") == "item all")
    }

    @Test("a plus is a space where the route says so")
    func formCoding() { #expect(Self.match(.put, "/forms/a+b%2Bc") == "form a b+c") }

    @Test("a path with other methods names them; HEAD is that of GET")
    func methods() {
        #expect(Self.match(.post, "/items/5") == "405 GET,HEAD,OPTIONS")
        #expect(Self.match(.get, "/items/5/stock") == "405 OPTIONS,PUT")
        #expect(Self.match(.head, "/items/5") == "item 5")
        #expect(Self.match(.head, "/items/5/stock") == "405 OPTIONS,PUT")
        #expect(Self.match(.other("put"), "/items/5/stock") == "405 OPTIONS,PUT")
    }

    @Test("a part of a path has a type")
    func types() {
        func number(_ text: String) -> Int64? {
            guard case .found(_, let path) = Self.router.match(.get, ArraySlice("/items/\(text)".utf8)) else {
                return nil
            }
            return path.value("id", as: Int64.self)
        }
        #expect(number("12") == 12 && number("-1") == -1 && number("+1") == nil && number("1x") == nil)
        #expect(number("9223372036854775808") == nil)
    }
}

@Suite struct MessageTests {
    @Test("a query is decoded as a form")
    func query() {
        let query = QueryParameters(ArraySlice("a=1&b=x+y%2B&c&a=2&page[limit]=3&&=4".utf8))
        #expect(query["a"] == "1" && query.values("a") == ["1", "2"] && query["b"] == "x y+" && query["c"] == "")
        #expect(query["page[limit]"] == "3" && query[""] == "4" && query["d"] == nil && !query.hasInvalid)
        #expect(QueryParameters(ArraySlice("a=%zz&b=1".utf8)).hasInvalid)
    }

    @Test("no value can add a field or an answer")
    func injection() {
        var driver = MachineDriver { head in
            .answer(Response(.ok, fields: ResponseFields().adding("A", "b\r\nSet-Cookie: c\0é")), closes: false)
        }
        driver.receive(MachineDriver.get("/"))
        #expect(driver.sent == "HTTP/1.1 200 OK\r\nA: b??Set-Cookie: c?é\r\nContent-Length: 0\r\n\r\n")
    }

    @Test(
        "an endpoint is an address with a port, a Unix socket, or systemd",
        arguments: [
            ("127.0.0.1:8080", .tcp("127.0.0.1", 8_080)), ("[::1]:0", .tcp("::1", 0)), ("*:80", .tcp("*", 80)),
            ("localhost:1", .tcp("localhost", 1)), ("unix:/run/x", .unix("/run/x", mode: 0o660)),
            ("systemd", .systemd), ("8080", nil), (":80", nil), ("::1:80", nil), ("a:65536", nil), ("a:+1", nil),
            ("a:", nil), ("unix:", nil), ("", nil),
        ] as [(String, Endpoint?)]) func endpoints(_ text: String, _ expected: Endpoint?)
    {
        #expect(Endpoint(text) == expected)
        if let expected, case .tcp = expected { #expect(expected.description == text) }
    }
}

@Suite struct CORSTests {
    private static func answer(_ text: String, _ origins: CORSPolicy.Origins?) -> String {
        var routes = RouteTable()
        routes.cors = origins.map { CORSPolicy(origins: $0, exposedFields: ["Request-Id"]) }
        routes.add(.put, "/items/{id}") { _ in }
        let handler = RouteHandler(routes)
        var driver = MachineDriver { handler.admit($0) }
        driver.receive(text + "\r\n\r\n")
        return driver.sent
    }

    private static let preflight = """
        OPTIONS /items/5 HTTP/1.1\r\nHost: x\r\nOrigin: https://shop\r\nAccess-Control-Request-Method: PUT\r
        Access-Control-Request-Headers: authorization, x-moltin-application
        """

    @Test("a preflight gets the methods of the path and the fields that it names")
    func preflight() {
        let answer = Self.answer(Self.preflight, .any)
        #expect(answer.hasPrefix("HTTP/1.1 204 No Content\r\n"))
        for line in [
            "Allow: OPTIONS, PUT", "Access-Control-Allow-Origin: *", "Access-Control-Allow-Methods: OPTIONS, PUT",
            "Access-Control-Allow-Headers: authorization, x-moltin-application", "Access-Control-Max-Age: 86400",
            "Vary: Origin", "Access-Control-Expose-Headers: Request-Id",
        ] { #expect(answer.contains("\r\n\(line)\r\n")) }
    }

    @Test("an origin that is not listed gets no permission; without a policy none does")
    func origins() {
        #expect(Self.answer(Self.preflight, .only(["https://shop"])).contains("Allow-Origin: https://shop\r\n"))
        for origins in [CORSPolicy.Origins.only(["https://other"]), nil] {
            let answer = Self.answer(Self.preflight, origins)
            #expect(answer.contains("Allow: OPTIONS, PUT") && !answer.contains("Access-Control"))
        }
    }

    @Test("an error can be read by a page too")
    func errors() {
        let answer = Self.answer("GET /none HTTP/1.1\r\nHost: x\r\nOrigin: https://shop", .any)
        #expect(answer.hasPrefix("HTTP/1.1 404") && answer.contains("Access-Control-Allow-Origin: *\r\n"))
    }
}
