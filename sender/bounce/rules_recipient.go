package bounce

// recipientRules are what receivers say of the recipient.
var recipientRules = []rule{
	{"full", full, "", `
		mailbox full | mailbox is full | mailbox was full | mailbox too full | mailbox @ full
		| mailbox @ is full | inbox full | inbox is full | box full | box is full | folder is full
		| over quota | overquota | quota exceed | quota exceeded | exceeded quota | exceed quota
		| exceeds quota | exceeded storage | exceeds storage | exceeded the quota | exceeded his quota
		| exceeded its quota | exceeded his her quota | exceeded their quota | out of quota | quota full
		| quota is full | quota limit | quota violation | quota has been | quota reached | above quota
		| storage allocation | storage limit | storage quota | storage space | storage is full
		| out of storage | out of space | mailbox quota | mailbox size limit | mailbox limit
		| mailbox exceed | mailbox has exceed | mailbox over | mailbox size | maildir over | user is over
		| user is overquota | account is full | account is over | account full | account over quota
		| disk quota | disk space quota | disk full for user | insufficient quota
		| insufficient space in mailbox | not enough storage | no space in mailbox | not enough space in
		| recipient full | recipient is over | recipient over | recipients mailbox is full | maximum mailbox
		| has too much mail | too many messages in | max message quota | inbox is out of`, `
		daily | hourly | per day | per hour | system storage | message quota exceeded | sending`},
	{"full-other-languages", full, "", `
		boite pleine | boite est pleine | boite aux lettres pleine
		| boite aux lettres du destinataire pleine | messagerie pleine | boite du destinataire est pleine
		| quota depasse | depasse son quota | espace de stockage | postfach voll | postfach ist voll
		| postfach des empfaengers ist voll | mailbox voll | mailbox ist voll | speicherplatz
		| speicherlimit | postfach ueberfuellt | kontingent | buzon lleno | buzon esta lleno
		| buzon de correo lleno | casilla llena | cuota excedida | cuota superada | cuota de almacenamiento
		| excedido la cuota | excede la cuota | sin espacio | caixa cheia | caixa postal cheia
		| caixa postal esta cheia | caixa de correio cheia | caixa de entrada cheia
		| caixa de correio esta cheia | cota excedida | quota excedida | cota de armazenamento | excedeu a
		| 邮箱已满 | 邮箱空间 | 空间不足 | 空间已满 | 信箱已滿 | 信箱空間 | 容量已满 | 容量不足 | 超出配额 | 邮箱容量 | 郵箱已滿 | 收件箱已满 | いっぱい | 満杯
		| 容量を超 | 容量オーバー | 容量超過 | 空き容量`, ""},

	{"full-code", full, "x.2.2", "", `
		unknown | not found | does not exist | doesnt exist | disabled | inactiv | invalid | no such`},

	// Another reason behind the words "recipient address rejected"
	{"recipient-rule", policy, "5xx", `
		policy rejection on the target | block rcpt | recipient has blocked | blocked by recipient
		| rejected by recipient | refused by recipient | rejected by the recipient
		| blocked by the recipient | recipient does not want | recipient does not accept
		| recipient only accepts | recipient is not accepting | not accepting mail from
		| not accepting messages from | not accept mail from | user does not accept | accepts mail only from
		| only accepts mail | only accept mail | not allowed to send to | not permitted to send
		| permission to send | permission to email | not authorized to send to | restricted address
		| address is restricted | internal use only | internal only | members only | only subscribers
		| not a member | not subscribed | moderated | challenge response | whitelist | allowlist
		| allowed list | white list | safe senders | blocked by user | user filter | rejected by destination
		| address is protected`, ""},
	{"recipient-access-denied", policy, "x.7.1", "recipient address rejected & access denied", ""},

	{"unknown-for-now", other, "4xx", `
		user unknown | unknown user | no such user | unverified address | unknown recipient
		| recipient unknown | user not found | user doesnt exist | user does not exist
		| recipient address rejected
		& unknown | unverified | not found | no such | does not exist | doesnt exist`, sender},
	{"gone-plain", gone, "", `
		user unknown | unknown user | unknown recipient | recipient unknown | unknown address
		| address unknown | unknown mailbox | mailbox unknown | addressee unknown | unknown local
		| unknown account | account unknown | unknown email | unknown virtual | unknown addressee
		| unknown customer | unknown alias | no such user | no such mailbox | no such recipient
		| no such address | no such account | no such person | no such email | no such local
		| no such addressee | no such customer | no such name | no such alias | no such a user | no such id
		| no such virtual user | no mailbox | no account | no user | no valid recipient | no email account
		| not our customer | not a customer | invalid recipient | invalid mailbox | invalid user
		| invalid account | invalid email | invalid rcptto | invalid destination | invalid local part
		| invalid delivery address | bad recipient | bad destination | bad mailbox | undeliverable address
		| unrouteable address | unroutable address | unrouteable recipient | recipient table | virtual alias
		| virtual mailbox table | alias table | local user unknown | not a valid mailbox
		| not a valid recipient | not a valid user | not a valid address | not a valid email
		| not valid mailbox | not a known user | not a user here | not a local user | not known here
		| not our user | not in recipient list | doesnt have a | does not have an account
		| does not have a mailbox | does not have an email | user not local | does not like recipient
		| user reject | name unknown`, sender},
	{"gone-pair", gone, "", someone + `
		& does not exist | doesnt exist | dosnt exist | dont exist | do not exist | doesn t exist
		| not exist | not existing | nonexistent | non existent | non existing | isnt exist | not found
		| cannot be found | can not be found | could not be found | couldnt be found | wasnt found
		| was not found | cant be found | couldnt find | could not find | not known | isnt known
		| is unknown | unknown | unrecognized | unrecognised | not recognized | not recognised | recognise
		| is invalid | invalid | not valid | isnt valid | not a valid | isnt a valid | misspelled | mistyped
		| unallocated | not registered | is not registered | has moved | no longer | not available here
		| doesnt live | not deliverable | marked as invalid | not allocated | has been deleted | was deleted
		| been removed | not in our | is not in | not listed | isnt listed | unassigned | not provisioned
		| never existed | was removed | not configured | not defined | not a part of`, sender + `
		| headers | attachment | certificate | tls$ | command | syntax | size | temporar | credentials
		| message id | route | content | template | database | unknown error | unknown reason
		| unknown failure | unknown problem | invalid message | invalid content | invalid signature
		| invalid response | invalid data | invalid character | policy | whitelist`},
	{"gone-disabled", gone, "", someone + `
		& disabled | inactiv | deactivated | suspend | is closed | been closed | was closed | account closed
		| terminated | discontinued | not active | isnt active | account expired | has expired | is expired
		| cancelled | canceled | retired | abandoned | dormant | user hangup | archived | decommissioned
		| obsolete | no longer active | no longer valid | been locked | is locked | frozen
		| not accepting mail because`, sender + `
		| temporar | your account | your email account | certificate | relay access | your ip`},
	{"gone-domain", gone, "", `
		host unknown | unknown host | unknown domain | domain unknown | no such domain | no such host
		| domain not found | domain does not exist | domain doesnt exist | invalid domain
		| domain is invalid | domain name not found | bad domain | non existent domain | nonexistent domain
		| nxdomain | name not found | domain has no mx | no mx record | no mail exchanger
		| couldnt find any host | cant find any host | couldnt find a mail exchanger
		| unrouteable mail domain | unroutable mail domain | domain no longer | no longer hosted
		| account domain | this domain is not`, sender + " | lookup | temporar | try again later"},
	{"gone-host", gone, "5.1.2 5.4.4", "host not found | domain not found | nxdomain | not exist", sender},
	{"gone-null-mx", gone, "", `
		null mx | nullmx | host does not accept mail | domain does not accept mail
		| domain doesnt accept mail | does not accept any mail | doesnt receive email
		| domain does not receive`, sender},
	{"gone-ironport", gone, "5.1.0", "address rejected", sender},
	{"gone-recipient-rejected", gone, "5.1.1 5.1.10", "rejected", sender + " | policy | access denied"},
	{"gone-unavailable", gone, "550", `
		mailbox unavailable | recipient unavailable | mailbox is unavailable | mailbox @ unavailable
		| mailbox @ is unavailable | mailbox not available | mailbox is not available
		| account not available | account unavailable | unavailable mail user | address not available
		| address unavailable | user unavailable`, sender + " | temporar | try again | later | policy | invalid dns"},
	{"gone-bare", gone, "5xx", `
		recipient address rejected$$ | recipient rejected$$ | @ rejected$$ | rcpt rejected$$`, sender},
	{"gone-french", gone, "", `
		utilisateur inconnu | destinataire inconnu | destinataire invalide | adresse inconnue
		| adresse invalide | adresse d au moins | adresse dau moins | compte inconnu | boite inconnue
		| inconnu a cette adresse | nexiste pas | n existe pas | nexiste plus | adresse recipient invalide
		| compte desactive | compte ferme | compte suspendu | boite du destinataire archivee
		| adresse non valide | utilisateur non trouve | boite aux lettres introuvable | introuvable`, "emetteur | expediteur | domaine de"},
	{"gone-german", gone, "", `
		empfaenger unbekannt | unbekannter empfaenger | empfaenger ungueltig | ungueltiger empfaenger
		| empfaenger nicht | empfaenger existiert | benutzer unbekannt | unbekannter benutzer
		| benutzer nicht | benutzer existiert | adresse unbekannt | unbekannte adresse | adresse ungueltig
		| adresse existiert | adresse nicht gefunden | adresse nicht vorhanden | emailadresse existiert
		| email adresse existiert | email adresse nicht | email adresse unbekannt | email adresse ist nicht
		| empfaengeradresse existiert | empfaengeradresse ungueltig | empfaengeradresse unbekannt
		| postfach existiert | postfach nicht gefunden | postfach nicht vorhanden | postfach unbekannt
		| existiert nicht | kein postfach | kein benutzer | konto deaktiviert | konto gesperrt
		| konto existiert`, "absender"},
	{"gone-spanish", gone, "", `
		usuario desconocido | usuario no existe | usuario inexistente | usuario no encontrado
		| usuario invalido | destinatario desconocido | destinatario no existe | destinatario inexistente
		| destinatario invalido | destinatario no valido | destinatario no encontrado | cuenta no existe
		| cuenta inexistente | cuenta desactivada | cuenta suspendida | cuenta deshabilitada
		| buzon no existe | buzon inexistente | buzon no encontrado | buzon desconocido
		| direccion no existe | direccion inexistente | direccion desconocida | direccion no valida
		| direccion invalida | direccion de correo no existe | casilla inexistente | no existe el usuario
		| no existe la cuenta | no existe el buzon | no existe ese | no existe esa | no existe`, "remitente | dominio del"},
	{"gone-portuguese", gone, "", `
		usuario nao existe | usuario nao encontrado | utilizador desconhecido | utilizador nao existe
		| usuario desconhecido | destinatario desconhecido | destinatario nao existe
		| destinatario nao encontrado | destinatario inexistente | conta inexistente | conta nao existe
		| conta desativada | conta suspensa | conta encerrada | conta bloqueada | conta inativa
		| caixa postal inexistente | caixa postal nao existe | caixa postal desativada
		| caixa postal inativa | caixa de correio nao existe | caixa de correio inexistente
		| caixa de correio nao encontrada | endereco inexistente | endereco nao existe
		| endereco nao encontrado | endereco invalido | endereco desconhecido | email nao existe
		| nao existe`, "remetente | dominio do"},
	{"gone-chinese", gone, "", `
		不存在 | 没有找到 | 找不到 | 无此用户 | 無此用戶 | 無此使用者 | 查无此人 | 未开通 | 未開通 | 已停用 | 已注销 | 被禁用 | 已冻结 | 无效收件人 | 无效的收件人
		| 收件人无效 | 地址无效 | 邮箱地址错误 | 用户未找到 | 用户不在 | 未注册 | 未註冊`, "发件人 | 發件人 | 寄件者 | 寄件人 | 发信人"},
	{"gone-japanese", gone, "", `
		存在しません | 存在しない | 見つかりません | 宛先不明 | 不明なユーザ | ユーザー不明 | ユーザ不明 | 該当するユーザ | 使われておりません | 使用されていません
		| 無効なアドレス | アドレスが無効 | アドレスが間違 | 宛先が無効 | ユーザーが存在 | 登録されていません`, "送信者 | 差出人 | 送信元"},
}
