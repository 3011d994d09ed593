import HTTPServer
import StockGateway
import StockModel
import Testing

/// `POST /oauth/access_token`.
@Suite struct ElasticPathTokenTests {
    private static let form = ["Content-Type: application/x-www-form-urlencoded"]

    private static func post(
        _ body: String = "grant_type=client_credentials&client_id=X&client_secret=Y",
        fields: [String] = form, target: String = "/oauth/access_token"
    ) -> String { WireRequest("POST", target, fields, body).bytes }

    private static func request(_ bytes: String) throws -> TokenRequest {
        guard case .token(let request, _) = try TestGateway().plan(bytes) else { throw TestError("not a token call") }
        return request
    }

    @Test(
        "M1, M3: the body is a form in any order and under any type",
        arguments: [
            post(), post("client_id=X&client_secret=Y&grant_type=client_credentials"),
            post(fields: ["Content-Type: application/json"]), post(fields: form.map { $0 + ";charset=utf-8" }),
            post(fields: []), post(target: "/oauth/token"), post(target: "//oauth//access_token/"),
            post("grant_type=client_credentials&client_id=%58&client_secret=Y&a=b"),
        ])
    func forms(bytes: String) throws {
        let request = try Self.request(bytes)
        #expect(request.clientID == "X" && request.grant == .clientCredentials(secret: "Y"))
        #expect(request.peer == PeerAddress("192.0.2.1"))
    }

    private static func gateway() -> TestGateway {
        var gateway = TestGateway()
        gateway.token = .success(IssuedToken("xa3521ca621113e", expires: 1_524_486_008, expiresInSeconds: 3_600))
        return gateway
    }

    @Test("M1: the answer has five members and is not kept by caches")
    func answer() throws {
        let answer = try Self.gateway().answer(Self.post())
        #expect(answer.status == 200 && answer["Cache-Control"] == "no-store")
        #expect(
            answer.body == #"{"expires":1524486008,"identifier":"client_credentials","expires_in":3600,"#
                + #""access_token":"xa3521ca621113e","token_type":"Bearer"}"#)
    }

    @Test("M2: an implicit token needs no secret")
    func implicit() throws {
        let bytes = Self.post("grant_type=implicit&client_id=X")
        #expect(try Self.request(bytes).grant == .implicit)
        #expect(try Self.gateway().answer(bytes).body.contains(#""identifier":"implicit""#))
    }

    @Test("M5: a wrong secret and an unknown client are 401")
    func wrongClient() throws {
        let answer = try TestGateway(failing: .invalidCredential).answer(Self.post())
        #expect(answer.status == 401 && answer["WWW-Authenticate"] == "Bearer")
        #expect(answer.body == #"{"errors":[{"status":401,"title":"Unauthorized"}]}"#)
    }

    @Test(
        "M6: a form without what the grant needs is 400",
        arguments: [
            "", "client_id=X&client_secret=Y", "grant_type=password&client_id=X&client_secret=Y",
            "grant_type=client_credentials&client_secret=Y", "grant_type=client_credentials&client_id=X",
            "grant_type=implicit", "grant_type=implicit&client_id=", "grant_type=implicit&client_id=X&client_id=X",
            #"{"grant_type":"implicit","client_id":"X"}"#, "grant_type=implicit&client_id=%zz",
        ])
    func wrongForms(body: String) throws {
        let answer = try TestGateway().answer(Self.post(body))
        #expect(answer.status == 400)
        #expect(answer.body.hasPrefix(#"{"errors":[{"status":400,"title":"Bad Request","detail":""#))
    }

    @Test("M8: another method is 405")
    func methods() throws {
        let answer = try TestGateway().answer(WireRequest("GET", "/oauth/access_token").bytes)
        #expect(answer.status == 405 && answer["Allow"] == "OPTIONS, POST")
        #expect(answer.body.hasPrefix(#"{"errors":["#))
    }

    @Test("too many wrong secrets are 429")
    func slowed() throws {
        let answer = try TestGateway(failing: .overLimit(retryAfterSeconds: 20)).answer(Self.post())
        #expect(answer.status == 429 && answer["Retry-After"] == "20" && answer.body.hasPrefix(#"{"errors":["#))
    }

    @Test("H27: the secret is in no description")
    func secrets() throws {
        let request = try Self.request(Self.post("grant_type=client_credentials&client_id=X&client_secret=hidden"))
        var dumped = ""
        dump(request, to: &dumped)
        #expect(!"\(request)".contains("hidden") && !dumped.contains("hidden"))
    }
}
