// The texts of the pages in Spanish, with the formal address.
import type { Texts } from './en.ts';

export const es: Texts = {
  lang: 'es',
  dir: 'ltr',
  foot: 'Valetkey guarda las llaves de sus cuentas conectadas.',
  form: {
    tryAgain: 'Intentar de nuevo',
    optional: '(opcional)',
    example: 'Por ejemplo: {example}.',
    error: 'Error: {message}',
    check: 'Revise los datos introducidos',
    noCookie:
      'Su navegador no ha enviado la cookie de esta página, y sin ella no se puede continuar. Permita las cookies de este sitio e inténtelo de nuevo.',
    required: '{field}: este dato es obligatorio',
    invalid: '{field}: este dato no es válido',
    requiredExample: '{field}: este dato es obligatorio; por ejemplo, {example}',
    invalidExample: '{field}: este dato no es válido; por ejemplo, {example}',
  },
  stub: {
    whoAsks: 'Solicitado por',
    onBehalfOf: 'En nombre de',
    accountAt: 'Cuenta en',
    connectedAs: 'Conectada como',
    whatHappened: 'Qué ha ocurrido',
    reference: 'Referencia',
  },
  confirm: {
    heading: 'Conecte su cuenta de {provider} con {app}',
    lead: '{app} solicita acceso a su cuenta de {provider}. {provider} le pedirá que inicie sesión y dé su consentimiento; después, {app} podrá usar la cuenta para la persona que creó este enlace, también en su ausencia.',
    leadFor:
      '{app} solicita, en nombre de {owner}, acceso a su cuenta de {provider}. {provider} le pedirá que inicie sesión y dé su consentimiento; después, {app} podrá usar la cuenta para {owner}, también en su ausencia.',
    caution:
      'Continúe solo si ha sido usted quien ha iniciado esto en {app}. Si alguien le envió este enlace, su cuenta quedaría conectada para esa persona: cierre esta ventana.',
    whereIsAccount: '{provider} necesita saber dónde está su cuenta.',
    go: 'Continuar en {provider}',
  },
  picker: {
    heading: 'Elija una cuenta para conectarla con {app}',
    lead: '{app} solicita acceso a una de sus cuentas. Cuando dé su consentimiento, {app} podrá usar la cuenta para la persona que creó este enlace, también en su ausencia.',
    leadFor:
      '{app} solicita, en nombre de {owner}, acceso a una de sus cuentas. Cuando dé su consentimiento, {app} podrá usar la cuenta para {owner}, también en su ausencia.',
    choices: '¿Dónde está su cuenta?',
    another: 'Elegir otra cuenta',
  },
  credentials: {
    lead: '{app} solicita acceso a su cuenta de {provider}. Con los datos que introduzca aquí, {app} podrá usar la cuenta para la persona que creó este enlace, también en su ausencia.',
    leadFor:
      '{app} solicita, en nombre de {owner}, acceso a su cuenta de {provider}. Con los datos que introduzca aquí, {app} podrá usar la cuenta para {owner}, también en su ausencia.',
    checked: 'Los datos que introduzca se comprueban en {provider} y se guardan cifrados. No se vuelven a mostrar.',
    whereToFind: 'Dónde encontrar estos datos en {provider} (se abre en una ventana nueva)',
    go: 'Comprobar y conectar',
    rejected: '{provider} no acepta los datos introducidos. No se ha guardado nada.',
    unexpected: '{provider} ha dado una respuesta inesperada. Revise los datos introducidos. No se ha guardado nada.',
    unavailable:
      '{provider} no responde en este momento, por lo que no se han podido comprobar los datos. No se ha guardado nada: espere un momento, introdúzcalos de nuevo e inténtelo otra vez.',
  },
  connected: {
    title: '{provider} está conectado',
    heading: 'Su cuenta de {provider} está conectada',
    close: 'Puede cerrar esta ventana.',
    back: 'Continuar en {app}',
  },
  waiting: {
    heading: 'Un momento',
    lead: 'Su cuenta se está conectando. Esta página mostrará el resultado en cuanto se conozca.',
    stuck:
      'Si ha abandonado la página en la que se inicia sesión, o si no ocurre nada en un minuto, inténtelo de nuevo.',
  },
  wanted: 'La cuenta conectada es {account}.',
  portal: {
    heading: 'Sus cuentas conectadas',
    welcome:
      'Aquí puede ver cuáles de sus cuentas están conectadas con {app}, y volver a conectarlas o desconectarlas.',
    caution: 'Continúe solo si ha llegado aquí desde {app}. Si alguien le envió este enlace, cierre esta ventana.',
    enter: 'Mostrar mis cuentas',
    lead: 'Estas cuentas están conectadas con {app}.',
    none: 'No hay ninguna cuenta conectada con {app}.',
    active: 'Conectada',
    needsReauth: 'Debe conectarse de nuevo',
    onHold: 'Suspendida por {provider}',
    since: 'Desde el',
    account: 'Cuenta',
    label: 'Nombre',
    status: 'Estado',
    more: 'Mostrar más',
    reconnect: 'Conectar de nuevo',
    disconnect: 'Desconectar',
    confirmHeading: '¿Desconectar su cuenta de {provider}?',
    confirmLead: 'A partir de este momento, {app} ya no podrá usar la cuenta. Podrá conectarla de nuevo más adelante.',
    keep: 'Mantenerla conectada',
    disconnected: 'La cuenta de {provider} está desconectada.',
    reconnected: 'La cuenta de {provider} está conectada.',
    notReconnected: 'La cuenta no se ha conectado.',
    back: 'Volver a {app}',
  },
  refusals: {
    invalid_state: {
      title: 'No es posible continuar este inicio de sesión',
      message: 'La respuesta no corresponde a ningún inicio de sesión en curso en este navegador.',
      advice:
        'Puede que ya haya terminado, o que haya tardado demasiado. Si su cuenta no está conectada, empiece de nuevo en la aplicación de la que viene.',
    },
    other_browser: {
      title: 'Use el navegador con el que empezó',
      message: 'Este enlace se abrió primero en otro navegador, y solo ese puede continuar. No se ha conectado nada.',
      advice:
        'Vuelva a ese navegador o solicite un enlace nuevo. Si usted no lo había abierto antes, no continúe y avise a la persona que se lo envió.',
    },
    invitation_used: {
      title: 'Este enlace ya se ha usado',
      message: 'Cada enlace funciona una sola vez.',
      advice: 'Si su cuenta no está conectada, solicite un enlace nuevo en la aplicación de la que viene.',
    },
    invitation_expired: {
      title: 'Este enlace ha caducado',
      message: 'Por su seguridad, un enlace solo es válido durante diez minutos. No se ha conectado nada.',
      advice: 'Solicite un enlace nuevo en la aplicación de la que viene.',
    },
    invitation_cancelled: {
      title: 'Este enlace ya no es válido',
      message: 'La aplicación de la que procede lo ha retirado. No se ha conectado nada.',
      advice: 'Solicite un enlace nuevo en la aplicación de la que viene.',
    },
    access_denied: {
      title: 'Ha cancelado la operación',
      message: 'Ha cancelado la operación. No se ha conectado nada.',
      advice: 'Puede cerrar esta ventana. Si cambia de opinión, empiece de nuevo en la aplicación de la que viene.',
    },
    provider_error: {
      title: '{provider} lo ha rechazado',
      message: '{provider} se ha negado a conectar su cuenta. No se ha conectado nada.',
      advice:
        'Puede que no tenga los permisos necesarios, o que un administrador deba aprobarlo antes. En caso de duda, facilite la referencia que figura abajo a los responsables de la aplicación.',
    },
    provider_unavailable: {
      title: '{provider} no responde',
      message: 'No es posible acceder a {provider} en este momento. No se ha conectado nada.',
      advice: 'Espere unos minutos y empiece de nuevo en la aplicación de la que viene.',
    },
    invalid_answer: {
      title: 'La respuesta no era fiable',
      message:
        'La respuesta de {provider} no superó nuestras comprobaciones, así que no la hemos usado. No se ha conectado nada.',
      advice:
        'Empiece de nuevo en la aplicación de la que viene. Si vuelve a ocurrir, facilite la referencia que figura abajo a sus responsables.',
    },
    identity_mismatch: {
      title: 'Esa es otra cuenta',
      message:
        'Ha iniciado sesión en {provider} con una cuenta distinta de la que está conectada. No se ha cambiado nada.',
      advice:
        'Inicie sesión en {provider} con la cuenta que usó antes. Puede intentarlo de nuevo o solicitar un enlace nuevo más adelante.',
    },
    account_unknown: {
      title: 'No hemos podido saber de qué cuenta se trata',
      message: '{provider} no ha indicado con qué cuenta ha iniciado sesión. No se ha cambiado nada.',
      advice: 'Solicite un enlace nuevo y permita todo lo que {provider} le pida.',
    },
    integration_misconfigured: {
      title: 'La conexión con {provider} no está bien configurada',
      message: 'No es culpa suya, y volver a intentarlo no servirá de nada. No se ha conectado nada.',
      advice:
        'Facilite la referencia que figura abajo a los responsables de la aplicación: deben corregir su configuración.',
    },
    connection_gone: {
      title: 'Esta conexión ya no existe',
      message: 'Se ha eliminado, así que no hay nada que renovar.',
      advice: 'Solicite un enlace nuevo en la aplicación de la que viene para volver a conectar su cuenta.',
    },
    not_found: {
      title: 'Aquí no hay nada',
      message: 'Este enlace no es nuestro, o le falta una parte.',
      advice: 'Copie el enlace completo o solicite uno nuevo en la aplicación de la que viene.',
    },
    not_a_navigation: {
      title: 'Abra este enlace en su propia ventana',
      message:
        'El enlace fue solicitado por una vista previa, por otra página o por adelantado, y no lo abrió una persona.',
      advice: 'Haga clic en él o cópielo en la barra de direcciones. Sigue funcionando.',
    },
    invalid_form: {
      title: 'No se han podido leer los datos introducidos',
      message: 'El formulario estaba dañado o era demasiado largo. No se ha conectado nada.',
      advice: 'Vuelva atrás e introdúzcalos de nuevo, de forma más breve. El enlace sigue funcionando.',
    },
    portal_ended: {
      title: 'Esta página ya no está disponible',
      message:
        'Por su seguridad, la página de sus cuentas conectadas solo está abierta durante una hora y en un único navegador.',
      advice: 'Ábrala de nuevo desde la aplicación de la que viene.',
    },
    unavailable: {
      title: 'Hay demasiada actividad en este momento',
      message: 'Ahora mismo no podemos consultarlo. No se ha conectado nada.',
      advice: 'Espere un momento e inténtelo de nuevo. El enlace sigue funcionando.',
    },
    internal: {
      title: 'Se ha producido un error por nuestra parte',
      message: 'No ha sido culpa suya, y no sabemos si su cuenta está conectada ahora.',
      advice:
        'Compruébelo en la aplicación de la que viene y, si es necesario, empiece allí de nuevo. La referencia que figura abajo nos ayuda a encontrar la causa.',
    },
    other: {
      title: 'No se ha podido conectar su cuenta',
      message: 'Ha surgido un problema. No se ha conectado nada.',
      advice:
        'Empiece de nuevo en la aplicación de la que viene. Si vuelve a ocurrir, facilite la referencia que figura abajo a sus responsables.',
    },
  },
  theOtherService: 'El otro servicio',
};
