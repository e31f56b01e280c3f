// The texts of the pages in Brazilian Portuguese.
import type { Texts } from './en.ts';

export const ptBr: Texts = {
  lang: 'pt-BR',
  dir: 'ltr',
  foot: 'O Valetkey cuida das chaves das suas contas conectadas.',
  form: {
    tryAgain: 'Tentar novamente',
    optional: '(opcional)',
    example: 'Por exemplo: {example}.',
    error: 'Erro: {message}',
    check: 'Verifique o que você informou',
    noCookie:
      'Seu navegador não enviou o cookie desta página, e sem ele não é possível continuar. Permita os cookies deste site e tente novamente.',
    required: '{field}: este campo é obrigatório',
    invalid: '{field}: este valor não é válido',
    requiredExample: '{field}: este campo é obrigatório; por exemplo, {example}',
    invalidExample: '{field}: este valor não é válido; por exemplo, {example}',
  },
  stub: {
    whoAsks: 'Solicitado por',
    onBehalfOf: 'Em nome de',
    accountAt: 'Conta em',
    connectedAs: 'Conectada como',
    whatHappened: 'O que aconteceu',
    reference: 'Referência',
  },
  confirm: {
    heading: 'Conecte sua conta {provider} a {app}',
    lead: '{app} solicita acesso à sua conta {provider}. {provider} pede que você entre e dê sua autorização; depois disso, {app} poderá usar a conta para a pessoa que criou este link, mesmo quando você não estiver presente.',
    leadFor:
      '{app} solicita, em nome de {owner}, acesso à sua conta {provider}. {provider} pede que você entre e dê sua autorização; depois disso, {app} poderá usar a conta para {owner}, mesmo quando você não estiver presente.',
    caution:
      'Continue somente se foi você quem iniciou isto em {app}. Se alguém enviou este link a você, sua conta seria conectada para essa pessoa: feche esta janela.',
    whereIsAccount: '{provider} precisa saber onde encontrar sua conta.',
    go: 'Continuar para {provider}',
  },
  picker: {
    heading: 'Escolha uma conta para conectar a {app}',
    lead: '{app} solicita acesso a uma das suas contas. Depois da sua autorização, {app} poderá usar a conta para a pessoa que criou este link, mesmo quando você não estiver presente.',
    leadFor:
      '{app} solicita, em nome de {owner}, acesso a uma das suas contas. Depois da sua autorização, {app} poderá usar a conta para {owner}, mesmo quando você não estiver presente.',
    choices: 'Onde está sua conta?',
    another: 'Escolher outra conta',
  },
  credentials: {
    lead: '{app} solicita acesso à sua conta {provider}. Com o que você informar aqui, {app} poderá usar a conta para a pessoa que criou este link, mesmo quando você não estiver presente.',
    leadFor:
      '{app} solicita, em nome de {owner}, acesso à sua conta {provider}. Com o que você informar aqui, {app} poderá usar a conta para {owner}, mesmo quando você não estiver presente.',
    checked:
      'O que você informar é verificado em {provider} e guardado de forma criptografada. Não será exibido novamente.',
    whereToFind: 'Onde encontrar isto em {provider} (abre uma nova janela)',
    go: 'Verificar e conectar',
    rejected: '{provider} não aceita o que você informou. Nada foi salvo.',
    unexpected: '{provider} deu uma resposta inesperada. Verifique o que você informou. Nada foi salvo.',
    unavailable:
      '{provider} não está respondendo no momento, por isso não foi possível verificar o que você informou. Nada foi salvo: aguarde um momento, informe novamente e tente outra vez.',
  },
  connected: {
    title: '{provider}: conta conectada',
    heading: 'Sua conta {provider} está conectada',
    close: 'Você pode fechar esta janela.',
    back: 'Continuar para {app}',
  },
  waiting: {
    heading: 'Só um momento',
    lead: 'Sua conta está sendo conectada. Esta página mostrará o resultado assim que ele for conhecido.',
    stuck: 'Se você saiu da página de login, ou se nada acontecer em um minuto, tente novamente.',
  },
  wanted: 'A conta conectada é {account}.',
  portal: {
    heading: 'Suas contas conectadas',
    welcome:
      'Aqui você vê quais das suas contas estão conectadas a {app} e pode conectá-las novamente ou desconectá-las.',
    caution: 'Continue somente se você veio de {app}. Se alguém enviou este link a você, feche esta janela.',
    enter: 'Mostrar minhas contas',
    lead: 'Estas contas estão conectadas a {app}.',
    none: 'Nenhuma conta está conectada a {app}.',
    active: 'Conectada',
    needsReauth: 'Precisa ser conectada novamente',
    onHold: 'Suspensa por {provider}',
    since: 'Desde',
    account: 'Conta',
    label: 'Nome',
    status: 'Situação',
    more: 'Mostrar mais',
    reconnect: 'Conectar novamente',
    disconnect: 'Desconectar',
    confirmHeading: 'Desconectar sua conta {provider}?',
    confirmLead: 'A partir deste momento, {app} não poderá mais usar a conta. Você poderá conectá-la novamente depois.',
    keep: 'Manter conectada',
    disconnected: 'A conta {provider} foi desconectada.',
    reconnected: 'A conta {provider} está conectada.',
    notReconnected: 'A conta não foi conectada.',
    back: 'Voltar para {app}',
  },
  refusals: {
    invalid_state: {
      title: 'Não é possível continuar este login',
      message: 'A resposta não pertence a nenhum login em andamento neste navegador.',
      advice:
        'Talvez ele já tenha sido concluído ou tenha demorado demais. Se sua conta não estiver conectada, comece novamente no aplicativo de onde você veio.',
    },
    other_browser: {
      title: 'Use o navegador em que você começou',
      message: 'Este link foi aberto primeiro em outro navegador, e somente ele pode continuar. Nada foi conectado.',
      advice:
        'Volte àquele navegador ou peça um novo link. Se você não o abriu antes, não continue e avise a pessoa que o enviou.',
    },
    invitation_used: {
      title: 'Este link já foi usado',
      message: 'Cada link funciona apenas uma vez.',
      advice: 'Se sua conta não estiver conectada, peça um novo link no aplicativo de onde você veio.',
    },
    invitation_expired: {
      title: 'Este link expirou',
      message: 'Para sua segurança, um link funciona por apenas dez minutos. Nada foi conectado.',
      advice: 'Peça um novo link no aplicativo de onde você veio.',
    },
    invitation_cancelled: {
      title: 'Este link não é mais válido',
      message: 'Ele foi cancelado pelo aplicativo de origem. Nada foi conectado.',
      advice: 'Peça um novo link no aplicativo de onde você veio.',
    },
    access_denied: {
      title: 'Você cancelou',
      message: 'Você cancelou. Nada foi conectado.',
      advice: 'Você pode fechar esta janela. Se mudar de ideia, comece novamente no aplicativo de onde você veio.',
    },
    provider_error: {
      title: '{provider} recusou',
      message: '{provider} se recusou a conectar sua conta. Nada foi conectado.',
      advice:
        'Talvez você não tenha as permissões necessárias, ou um administrador precise aprovar isto antes. Em caso de dúvida, mostre a referência abaixo aos responsáveis pelo aplicativo.',
    },
    provider_unavailable: {
      title: '{provider} não responde',
      message: 'Não é possível acessar {provider} no momento. Nada foi conectado.',
      advice: 'Aguarde alguns minutos e comece novamente no aplicativo de onde você veio.',
    },
    invalid_answer: {
      title: 'A resposta não era confiável',
      message:
        'O que veio de {provider} não passou nas nossas verificações, por isso não foi usado. Nada foi conectado.',
      advice:
        'Comece novamente no aplicativo de onde você veio. Se acontecer de novo, mostre a referência abaixo aos responsáveis por ele.',
    },
    identity_mismatch: {
      title: 'Essa é outra conta',
      message: 'Você entrou em {provider} com uma conta diferente da que está conectada. Nada foi alterado.',
      advice:
        'Entre em {provider} com a conta que você usou antes. Você pode tentar novamente ou pedir um novo link mais tarde.',
    },
    account_unknown: {
      title: 'Não conseguimos identificar a conta',
      message: '{provider} não informou com qual conta você entrou. Nada foi alterado.',
      advice: 'Peça um novo link e permita tudo o que {provider} solicitar.',
    },
    integration_misconfigured: {
      title: 'A conexão com {provider} não está configurada corretamente',
      message: 'Isto não é culpa sua, e tentar novamente não vai ajudar. Nada foi conectado.',
      advice: 'Mostre a referência abaixo aos responsáveis pelo aplicativo: eles precisam corrigir as configurações.',
    },
    connection_gone: {
      title: 'Esta conexão não existe mais',
      message: 'Ela foi removida, portanto não há nada para renovar.',
      advice: 'Peça um novo link no aplicativo de onde você veio para conectar sua conta novamente.',
    },
    not_found: {
      title: 'Não há nada aqui',
      message: 'Este link não é nosso, ou falta uma parte dele.',
      advice: 'Copie o link inteiro ou peça um novo no aplicativo de onde você veio.',
    },
    not_a_navigation: {
      title: 'Abra este link em uma janela própria',
      message:
        'O link foi solicitado por uma pré-visualização, por outra página ou antecipadamente, e não foi aberto por uma pessoa.',
      advice: 'Clique nele ou copie-o para a barra de endereços. Ele ainda funciona.',
    },
    invalid_form: {
      title: 'Não foi possível ler o que você informou',
      message: 'O formulário estava danificado ou era longo demais. Nada foi conectado.',
      advice: 'Volte, preencha novamente e seja breve. O link ainda funciona.',
    },
    portal_ended: {
      title: 'Esta página foi encerrada',
      message:
        'Para sua segurança, a página das suas contas conectadas fica aberta por apenas uma hora, em um só navegador.',
      advice: 'Abra-a novamente no aplicativo de onde você veio.',
    },
    unavailable: {
      title: 'Há muita demanda no momento',
      message: 'Não conseguimos consultar isto agora. Nada foi conectado.',
      advice: 'Aguarde um momento e tente novamente. O link ainda funciona.',
    },
    internal: {
      title: 'Algo deu errado do nosso lado',
      message: 'Não foi culpa sua, e não sabemos se sua conta está conectada agora.',
      advice:
        'Verifique no aplicativo de onde você veio e, se necessário, comece novamente por lá. A referência abaixo nos ajuda a encontrar a causa.',
    },
    other: {
      title: 'Não foi possível conectar sua conta',
      message: 'Ocorreu um problema. Nada foi conectado.',
      advice:
        'Comece novamente no aplicativo de onde você veio. Se acontecer de novo, mostre a referência abaixo aos responsáveis por ele.',
    },
  },
  theOtherService: 'O outro serviço',
};
